"""Scheduling: sequential and parallel runs of a recipe, retries, task queue."""
