"""Comparison of runs: differences, drift, history."""
