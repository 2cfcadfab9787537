"""Where states go: one file each."""
