"""The command line: results on stdout, all else on stderr; it exits with 0, 1 or 2."""
