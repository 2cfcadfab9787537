"""Numerics: arrays in, arrays out. No socket, no clock, no file (weights loading aside)."""
