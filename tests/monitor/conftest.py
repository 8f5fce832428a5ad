"""Runs to watch, and an application that shows them; Dash comes from `.dash` where it must."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.house.dash import more
from tests.monitor.looked_at import TOKEN
from tests.runs.built import Built

RUN, OLDER = "20261125T101502Z-7f3a", "20261124T090000Z-0001"


def _have_dash() -> None:
    """Import Dash; tests that start pytest in this process are not to find its plugin."""
    before = [*sys.path]
    sys.path += more()
    try:
        for name in ("dash", "dash_ag_grid", "dash_cytoscape", "plotly.graph_objects"):
            importlib.import_module(name)
    finally:
        sys.path[:] = before


_have_dash()


@pytest.fixture(autouse=True)
def dash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what Dash imports late."""
    monkeypatch.setattr(sys, "path", [*sys.path, *more()])


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Return a folder of two runs: one that is over, and one whose process is gone."""
    base = tmp_path / "runs"
    over = Built(base, OLDER).begin("flash", "measure")
    over.step("flash", seconds=2.0)
    over.step("measure", measured={"ripple": 12.0})
    over.seal()
    going = Built(base, RUN).begin("flash", "measure", "release")
    going.change("flash", "dut.serial_v1", "A17")
    going.step("flash", seconds=1.0)
    going.change("measure", "dut.serial_v1", "A18")
    going.start("measure")
    going.cut()
    return base


@pytest.fixture
def client(bench: Path) -> Iterator[Any]:
    """Return a client of the application that has shown the token."""
    from pytest_orchestrator.monitor.app import application

    server = application(bench, TOKEN, {"localhost"})
    with server.test_client() as found:
        found.get(f"/?token={TOKEN}")
        yield found
