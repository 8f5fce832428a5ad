"""Support for pytest-xdist: distribution of whole recipes, and the shared Context."""
