"""What can be read of the running service over HTTP: health, metrics, states. Nothing here writes."""
