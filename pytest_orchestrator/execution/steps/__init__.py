"""Step runners: one module for each way in which step code runs."""
