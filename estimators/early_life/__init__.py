"""Prototype verification: what a new cell's first cycles, and cells at other temperatures, say of its later life."""
