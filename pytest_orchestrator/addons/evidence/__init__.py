"""Evidence: bundles of runs, their statement and signature."""
