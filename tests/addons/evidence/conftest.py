"""Journals of runs that were written without a session."""

from tests.runs.conftest import runs

__all__ = ["runs"]
