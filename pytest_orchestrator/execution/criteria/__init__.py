"""Success criteria: what must hold after a step."""
