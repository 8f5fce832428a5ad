"""Success criteria: the conditions that must hold after a step."""
