"""Capacity counted from a rest to full: what any cell whose tables are known tells by itself, without training."""
