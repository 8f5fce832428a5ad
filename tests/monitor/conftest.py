"""Fixtures of the monitor's tests: runs and an application; Dash may come from `.dash`."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.house.dash import more
from tests.monitor.live_monitor import TOKEN
from tests.runs.built import Built

RUN, OLDER = "20261125T101502Z-7f3a", "20261124T090000Z-0001"


def _have_dash() -> None:
    """Import Dash, but keep `.dash` off `sys.path`, so that pytest finds no plugin in it."""
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
    """Put the folder of Dash on `sys.path`, since Dash imports some modules on first use."""
    monkeypatch.setattr(sys, "path", [*sys.path, *more()])


@pytest.fixture
def bench(tmp_path: Path) -> Path:
    """Return a folder with two runs: one finished, one whose process was killed."""
    base = tmp_path / "runs"
    finished = Built(base, OLDER).begin("flash", "measure")
    finished.step("flash", seconds=2.0)
    finished.step("measure", measured={"ripple": 12.0})
    finished.seal()
    killed = Built(base, RUN).begin("flash", "measure", "release")
    killed.change("flash", "dut.serial_v1", "A17")
    killed.step("flash", seconds=1.0)
    killed.change("measure", "dut.serial_v1", "A18")
    killed.start("measure")
    killed.cut()
    return base


@pytest.fixture
def client(bench: Path) -> Iterator[Any]:
    """Return an authenticated client of the application."""
    from pytest_orchestrator.monitor.app import application

    server = application(bench, TOKEN, {"localhost"})
    with server.test_client() as test_client:
        test_client.get(f"/?token={TOKEN}")
        yield test_client
