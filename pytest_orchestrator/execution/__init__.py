"""Execution engine: runs a step and returns its StepResult."""
