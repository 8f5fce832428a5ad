"""The Context: key-value state that the steps of a run share, with its history."""
