"""Fixtures of the monitor's tests: runs and an application."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from pytest_orchestrator.monitor.app import application
from tests.monitor.live_monitor import TOKEN
from tests.runs.built import Built

RUN, OLDER = "20261125T101502Z-bench-3-7f3a91c0d2e4", "20261124T090000Z-0001"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a page wait for the rows of all runs, also on a loaded machine."""
    monkeypatch.setattr("pytest_orchestrator.monitor.run_list._PATIENCE", 60.0)


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
def client(bench: Path) -> Iterator[FlaskClient]:
    """Return an authenticated client of the application."""
    server = application(bench, TOKEN, {"localhost"})
    with server.test_client() as test_client:
        test_client.get(f"/?token={TOKEN}")
        yield test_client
