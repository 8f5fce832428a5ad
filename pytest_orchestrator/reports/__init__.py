"""Reports: views of results, one module for each format."""
