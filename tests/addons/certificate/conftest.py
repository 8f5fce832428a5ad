"""Comparison of each rendered certificate with Jinja2's output."""

from tests.reports.html.conftest import same_as_jinja

__all__ = ["same_as_jinja"]
