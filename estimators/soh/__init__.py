"""SOH that can be relied upon: capacity from charge, and a slow filter over all that says SOH."""
