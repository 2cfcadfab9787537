"""SOH, cycles left and fade rate together, from what the end of one full charge looks like."""
