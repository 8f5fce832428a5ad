"""Recipe loader: from a file to a frozen recipe, or to all problems of the file."""
