"""Field readers: from checked nodes to the typed fields of the model."""
