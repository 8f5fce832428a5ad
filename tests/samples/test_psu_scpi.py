"""Recipe psu_scpi: a session of it, without the extras as well, and the simulated console."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core import extras
from scriptlets.python.steps.unit_console import answers, serve
from tests.plugin.conftest import project  # noqa: F401  # a fixture

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_ROOT = Path(__file__).parents[2]
_FILES = ("station.yaml", "recipes/psu_scpi.yaml", "recipes/simulated/_power_supply.yaml")


@pytest.fixture
def bench(project: Project) -> Project:  # noqa: F811
    """A project with the recipe, its station and its scriptlet."""
    for name in _FILES:
        project.write(name, (_ROOT / name).read_text(encoding="utf-8"))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(_ROOT / "scriptlets", project.path / "scriptlets", ignore=ignored)
    return project


def test_the_sweep_is_marginal_at_its_last_voltage_and_the_supply_ends_in_its_safe_state(
    bench: Project,
) -> None:
    result = bench.run("--json-report", "recipes")

    result.assert_outcomes(passed=4)
    report = json.loads((bench.path / ".report.json").read_text(encoding="utf-8"))
    blocks = {
        test["nodeid"].partition("::")[2]: test["metadata"]["orchestrator"]
        for test in report["tests"]
    }
    currents = [
        (one["value"], one["verdict"], "marginal" in one)
        for element in blocks["sweep"]["elements"]
        for one in element["measurements"]
    ]
    passed = [(amps, "pass", amps == 1.8) for amps in (0.5, 1.0, 1.5, 1.8)]
    assert currents == passed
    assert blocks["login"]["context"]["writes"][0]["new"] == "2.4"
    assert safe_states(bench) == [
        ["> OUTP 0", "> VOLT 0", "> *OPC?", "< 1", "> SYST:ERR?", '< 0,"No error"']
    ]


def safe_states(bench: Project) -> list[list[str]]:
    """Return the transcripts of the safe states that the newest run has reached."""
    journal = bench.path / ".orchestrator" / "runs" / "latest" / "journal.jsonl"
    events = map(json.loads, journal.read_text(encoding="utf-8").splitlines())
    return [one["transcript"] for one in events if one["event"] == "instrument_safe"]


def test_the_recipe_is_skipped_with_the_reason_without_the_extras(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = {"visa": ("no_such_module",), "serial": ("serial",)}
    monkeypatch.setattr(extras, "EXTRAS", {**extras.EXTRAS, **missing})

    result = bench.run("-rs", "recipes")

    result.assert_outcomes(skipped=4)
    result.stdout.fnmatch_lines(["SKIPPED*requires:*visa*"])


def test_the_console_asks_for_a_login_and_answers_commands() -> None:
    received = iter(["", "root", "version", "help", "", "exit", "version"])

    assert list(answers(received)) == [
        "\r\nlogin: ",
        "root\r\n# ",
        "version\r\nfirmware 2.4\r\n# ",
        "help\r\nhelp: no such command\r\n# ",
        "\r\n# ",
        "exit\r\nlogin: ",
        "version\r\n# ",
    ]


def test_the_console_has_a_terminal_whose_link_replaces_an_older_one(
    tmp_path: Path,
) -> None:
    link = tmp_path / "new" / "console"
    for _ in range(2):
        # pytest's capture may lose what another thread prints while it is read.
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            threading.Thread(target=serve, args=({"link": str(link)},), daemon=True).start()
            while not printed.getvalue().endswith("\n"):
                time.sleep(0.001)
        assert printed.getvalue() == f"console at {link}\n"
        with link.open("r+b", buffering=0) as port:
            port.write(b"\n")
            assert port.read(1) == b"\r"
            assert os.isatty(port.fileno())
