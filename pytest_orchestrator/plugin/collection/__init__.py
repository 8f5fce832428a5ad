"""Collection package: file matching, nodes, dependencies and hints."""
