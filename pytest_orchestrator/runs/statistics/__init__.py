"""Statistics over runs: units, yields, failures, process capability."""
