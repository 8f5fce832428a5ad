"""Session: start, running, parallel steps, finally steps, journal."""
