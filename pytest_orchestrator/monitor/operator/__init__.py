"""Operator page: the live run in large letters, and answers to the questions of its steps."""
