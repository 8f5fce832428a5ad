"""Execution engine: one step in, one StepResult out."""
