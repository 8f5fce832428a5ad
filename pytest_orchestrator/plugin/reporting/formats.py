"""JUnit and JSON report files."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_orchestrator.core.json_values import Json


def add_suite_properties(config: pytest.Config, blocks: "Iterable[Mapping[str, Json]]") -> None:
    """Give the JUnit file the properties of steps that stand with all of them together."""
    from pytest_orchestrator.reports import junit

    plugins: Any = config.pluginmanager.get_plugins()
    files = [one for one in plugins if type(one).__name__ == "LogXML"]
    for block in blocks if files else ():
        step: Any = block["step"]
        for name, value in junit.properties(block):
            for xml in files:
                xml.add_global_property(f"{step['node']}.{name}", str(value))


def complete_json_report(
    report: dict[str, Any],
    config: pytest.Config,
    recipes: "Mapping[str, Sequence[Mapping[str, Any]]]",
) -> None:
    """Put the run, its environment and its flaky passes into a report.

    Args:
        report: What pytest-json-report is about to write.
        config: The configuration of the session.
        recipes: The blocks of the steps, by the key of their recipe.
    """
    from pytest_orchestrator.plugin.session_state import state_of
    from pytest_orchestrator.reports import summary

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
