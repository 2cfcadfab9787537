"""SRSE: SOH of several configurations from one charge, by a representation that they share (Wu et al. 2025)."""
