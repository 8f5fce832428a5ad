"""Options package: declarations and values of options and ini keys. PYTEST_DONT_REWRITE."""
