"""The door to pytest: the only room that imports it."""
