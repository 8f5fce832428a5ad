"""Instruments: the process that owns their sessions, its client, and requests of steps."""
