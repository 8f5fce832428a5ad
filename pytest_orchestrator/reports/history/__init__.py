"""History of the recipes of a run in reports."""
