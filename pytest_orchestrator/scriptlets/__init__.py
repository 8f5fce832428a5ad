"""Scriptlets: base class, call convention, standalone runner, discovery."""
