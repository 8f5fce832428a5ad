"""Attempts of steps on other machines: both halves, for an add-on that carries the messages."""
