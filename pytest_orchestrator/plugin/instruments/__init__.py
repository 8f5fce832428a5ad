"""Instruments of a session: the bench, safe states, and the fixture `instrument`."""
