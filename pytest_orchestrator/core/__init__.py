"""Results, events, JSON values, secrets, text and errors; no pytest, no YAML, no processes."""
