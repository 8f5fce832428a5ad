"""Options and ini keys: declarations and values."""
