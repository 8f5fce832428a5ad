"""YAML parsing: bytes to checked nodes with line numbers."""
