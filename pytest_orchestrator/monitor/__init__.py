"""Monitor: a Dash app that reads run folders and never changes a run."""
