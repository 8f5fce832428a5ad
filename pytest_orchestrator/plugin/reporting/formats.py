"""Additions to the JUnit and JSON report files of other plugins."""

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pytest_orchestrator.core.json_values import Json


def add_suite_properties(config: pytest.Config, blocks: "Iterable[Mapping[str, Json]]") -> None:
    """Add the properties of all steps to the testsuite of the JUnit files."""
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
    """Add the run, its environment and the number of flaky steps to a JSON report.

    Args:
        report: The report that pytest-json-report is about to write.
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
    metadata = report.get("environment") or _metadata(config)
    environment = summary.environment(recipes, started, metadata)
    report["environment"] = state.masked(environment)


def _metadata(config: pytest.Config) -> dict[str, Any]:
    """Return the data that pytest-metadata stored in the config; empty without that plugin."""
    try:
        from pytest_metadata.plugin import metadata_key
    except ImportError:
        return {}
    return dict(config.stash.get(metadata_key, {}))
