"""Numbers of measurements: exact differences, and the one notation in which people read them."""
