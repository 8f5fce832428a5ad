"""Pictures of the dependency graph of a recipe."""
