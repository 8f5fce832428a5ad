"""Command line: results on stdout, all else on stderr; exit codes 0, 1 and 2."""
