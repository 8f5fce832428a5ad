"""Options package: declarations and values of options and ini keys."""
