"""How long steps took in earlier runs: a small file in pytest's cache, where there is one."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import Any

import pytest

from pytest_orchestrator.plugin.blocks import ATTRIBUTE, NEEDED

_FILE = "orchestrator/seconds"


def known(config: pytest.Config) -> dict[str, float]:
    """Return the seconds that are known, by the node ids of the steps."""
    cache = getattr(config, "cache", None)
    found = {} if cache is None else cache.get(_FILE, {})
    return found if isinstance(found, dict) else {}


def longest_first(known: Mapping[str, float], units: Mapping[str, Iterable[str]]) -> list[str]:
    """Order what is handed out as a whole, so that at the end nobody waits for a long one.

    Args:
        known: Seconds by node id; an item that is not among them counts as the usual one.
        units: The node ids of each.

    Returns:
        The names of the units; those that take as long by the number of their items.
    """
    usual = median(known.values()) if known else 1.0
    weights = {
        name: (sum(known.get(node, usual) for node in nodes), sum(1 for _ in nodes))
        for name, nodes in units.items()
    }
    return sorted(units, key=lambda name: weights[name], reverse=True)


class Durations:
    """Notes how long steps take that pass, and writes it down at the end of the session."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note the steps of a report; it may come from another process."""
        blocks: list[dict[str, Any] | None] = [*getattr(report, NEEDED, ())]
        for block in (*blocks, getattr(report, ATTRIBUTE, None)):
            if block and block["step"]["state"] == "passed" and "time" in block:
                self._seconds[block["step"]["node"]] = round(block["time"]["seconds"], 3)

    def pytest_sessionfinish(self) -> None:
        """Write down what is known now."""
        cache = getattr(self._config, "cache", None)
        if cache is not None and self._seconds:
            cache.set(_FILE, known(self._config) | self._seconds)
