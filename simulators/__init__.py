"""Cells that do not exist: drive schedules, cell physics and ageing, a fleet that publishes telemetry."""
