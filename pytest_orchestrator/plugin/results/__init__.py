"""Results of steps as pytest's reports carry them."""
