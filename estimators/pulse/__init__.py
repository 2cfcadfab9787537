"""SOH of a cell at rest from a train of current pulses: turning-point voltages in, SOH and resistances out."""
