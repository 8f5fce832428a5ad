"""The folder of a run: what it leaves on disk."""
