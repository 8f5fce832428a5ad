"""Commands that start pytest."""
