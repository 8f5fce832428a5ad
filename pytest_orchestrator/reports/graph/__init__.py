"""Graph drawings of a recipe."""
