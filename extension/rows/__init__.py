"""Pure functions for what readers of the tables rely on: names, keys and types."""
