"""The commands that a VM agent calls."""
