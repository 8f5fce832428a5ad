"""Execution: one step in, one StepResult out, whatever the step does."""
