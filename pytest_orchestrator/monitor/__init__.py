"""A Dash app that reads run folders, and can never hurt a run."""
