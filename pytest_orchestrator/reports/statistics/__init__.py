"""Pages about many runs: statistics, and the history of one unit under test."""
