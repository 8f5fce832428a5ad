"""Evidence: bundles of runs, and their verification."""
