"""Completes what pytest-json-report writes about the whole run."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pytest_orchestrator.plugin.state import state_of
from pytest_orchestrator.reports import summary


def complete(
    report: dict[str, Any],
    config: pytest.Config,
    recipes: Mapping[str, Sequence[Mapping[str, Any]]],
) -> None:
    """Put the run, its environment and its flaky passes into a report.

    Args:
        report: What pytest-json-report is about to write.
        config: The configuration of the session.
        recipes: The blocks of the steps, by the key of their recipe.
    """
    state = state_of(config)
    started = state.started
    summary.count_flaky(report)
    if recipes or started is not None:
        report["orchestrator"] = summary.summary(recipes, started)
    known = report.get("environment") or _of_metadata(config)
    told = summary.environment(recipes, started, known)
    report["environment"] = state.masked(told)


def _of_metadata(config: pytest.Config) -> dict[str, Any]:
    """Return what pytest-metadata knows, which pytest-json-report looks for in its old place."""
    try:
        from pytest_metadata.plugin import metadata_key
    except ImportError:
        return {}
    return dict(config.stash.get(metadata_key, {}))
