"""Reports: one file a format, all made from the same result of a step."""
