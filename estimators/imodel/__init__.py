"""One full charge and the rest after it to capacity, now and in later cycles, and cycles left.

The published default is whatever did best on cells that trained nothing (CARD.md); the mixture of experts beside
it is the system of the same name, as its authors meant it.
"""
