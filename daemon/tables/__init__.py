"""Data sets with one row a cycle or a test in place of a log: read, learnt from, and models scored on them."""
