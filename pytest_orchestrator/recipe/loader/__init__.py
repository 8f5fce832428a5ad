"""Recipe loader: from a file to a frozen recipe or to all of its problems."""
