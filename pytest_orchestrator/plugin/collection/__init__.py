"""Collection: files, nodes, dependencies, hints."""
