"""The Context: the JSON state that the steps of a run share, with its history."""
