"""Annotations and the summary of a job in GitHub Actions."""
