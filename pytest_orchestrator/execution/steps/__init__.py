"""Step runners: one module for each way in which a step's code runs."""
