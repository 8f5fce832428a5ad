"""Templates of the reports, compiled to Python by `python -m scripts.templates`."""
