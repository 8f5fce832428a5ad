"""Locks and counted resources among all processes of a machine."""
