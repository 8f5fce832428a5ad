"""Station file: the instruments of a test station and the values that belong to it."""
