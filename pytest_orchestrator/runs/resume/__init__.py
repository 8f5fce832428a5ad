"""Resume of an earlier run: decisions and restored state."""
