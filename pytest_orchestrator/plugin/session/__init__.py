"""Session package: start, running, parallel steps, finally steps and journal."""
