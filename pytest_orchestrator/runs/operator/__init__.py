"""Operator page of the monitor, seen from a run: channel of the questions, lease of the page."""
