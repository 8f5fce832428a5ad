"""Head of reports: title and logo of the project, and the rows of `test_meta`."""
