"""Station: the operator page with Start, and the session that it starts."""
