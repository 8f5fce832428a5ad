"""Scaling benchmarks by steps, changes and clients: `python -m benchmarks.growth`."""
