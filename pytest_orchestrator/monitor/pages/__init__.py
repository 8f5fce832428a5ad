"""Pages of the monitor: the list of runs, a run with its tabs, the comparison of two runs."""
