"""Health checks in the service: asked in a thread of their own when a phase of a cell is over, folded into its SOH."""
