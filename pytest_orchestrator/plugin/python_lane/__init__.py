"""Lane for Python steps: a pytest session that forks itself for each step."""
