"""What things are: values, context, results, errors; no pytest, no YAML, no processes."""
