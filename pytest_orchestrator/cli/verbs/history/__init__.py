"""Commands about many runs, which they read from the history of the project."""
