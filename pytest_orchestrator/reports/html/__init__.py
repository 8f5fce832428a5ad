"""`report.html`: a page of a run that opens from disk without a network."""
