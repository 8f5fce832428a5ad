"""What grows with the number of steps, changes and clients: `python -m benchmarks.growth`."""
