"""Sessions that a station starts: their values, and their end without a station."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.reading import load_run, summary
from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.batch import (
    FILE,
    Batch,
    discard_batch,
    is_held,
    session_in,
    write_aborts,
    write_batch,
)
from tests.plugin.conftest import PYTEST, Project

HEAD = """
inputs: {serial: {pattern: 'SN[0-9]+'}, volts: {type: number, default: 5}, pin: {secret: true}}
test_meta: {dut: "${{ vars.serial }}"}
"""
VALUES = {"serial": "SN7", "volts": 3.5, "pin": "hunter2"}
ECHO = "type: shell, parse: text, cmd: 'echo ${{ vars.volts }} ${{ vars.pin }}'"


def _folder(project: Project) -> Path:
    folder = project.path / "station"
    folder.mkdir()
    return folder


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


@pytest.mark.counted
def test_a_session_takes_its_values_and_operator_from_the_file(project: Project) -> None:
    project.recipe("x", {"a": ECHO}, head=HEAD)
    folder = _folder(project)
    page_lease.renew(folder)
    os.close(write_batch(folder, Batch(values=VALUES, operator="Ann")))

    blocks = project.blocks(f"--recipe-batch={folder / FILE}")

    about = blocks["a"]["recipe"]
    assert about["test_meta"] == {"operator": "Ann", "dut": "SN7"}
    assert about["vars"]["volts"]["value"] == 3.5
    noted = session_in(folder)
    assert noted is not None
    assert (project.path / ".orchestrator" / "runs" / noted.run / "journal.jsonl").is_file()
    assert (folder / FILE).exists()  # the station deletes it
    for path in project.path.glob(".orchestrator/**/*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


def test_the_command_below_a_failure_has_the_values_of_the_page(project: Project) -> None:
    project.recipe("x", {"a": "type: shell, cmd: 'false'"}, head="inputs: {serial: {}}")
    folder = _folder(project)
    os.close(write_batch(folder, Batch(values={"serial": "SN7"})))
    result = project.run(f"--recipe-batch={folder / FILE}")
    result.stdout.fnmatch_lines("rerun * pytest --recipe-var=serial=SN7 recipes/x.yaml::a")


def test_an_operator_in_test_meta_is_kept(project: Project) -> None:
    project.recipe("x", {"a": ""}, head="test_meta: {operator: Bob}")
    folder = _folder(project)
    os.close(write_batch(folder, Batch(operator="Ann")))
    block = project.blocks(f"--recipe-batch={folder / FILE}")["a"]
    assert block["recipe"]["test_meta"] == {"operator": "Bob"}


def test_a_batch_that_cannot_be_read_is_a_usage_error(project: Project) -> None:
    project.recipe("x", {"a": ""})
    result = project.run("--recipe-batch=none.json")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        "ERROR: --recipe-batch: the values of the station cannot be read: No such file or directory"
    )


@pytest.mark.own_interpreters
def test_a_session_without_a_station_ends_as_by_sigterm_and_deletes_its_values(
    project: Project,
) -> None:
    project.recipe(
        "x",
        {"wait": "type: shell, cmd: 'touch begun; sleep 600', parse: text"},
        final={"off": "type: shell, cmd: 'touch off', parse: text"},
    )
    project.write(
        "conftest.py",
        """
        from pytest_orchestrator.runs.operator import page_lease
        page_lease.STATION_GRACE = 6.0
        """,
    )
    folder = _folder(project)
    locked = write_batch(folder, Batch())
    page_lease.renew(folder)
    command = [*PYTEST, f"--recipe-batch={folder / FILE}"]
    with subprocess.Popen(command, pass_fds=(locked,), stdout=subprocess.DEVNULL) as process:
        os.close(locked)
        assert is_held(folder)
        assert process.wait(60) == pytest.ExitCode.INTERRUPTED
    assert not is_held(folder)
    assert not (folder / FILE).exists()
    assert (project.path / "off").exists()
    journal = next(project.path.glob(".orchestrator/runs/*/journal.jsonl"))
    assert json.loads(journal.read_text().splitlines()[-1])["reason"] == signal.SIGTERM.name


def test_discarding_values_twice_does_no_harm(tmp_path: Path) -> None:
    os.close(write_batch(tmp_path, Batch(values=VALUES)))
    discard_batch(tmp_path)
    discard_batch(tmp_path)
    assert [*tmp_path.iterdir()] == []


PANEL = """
units: {names: [A, B, C]}
steps:
  - name: wait
    type: shell
    parse: text
    cmd: touch ${{ unit.name }}.on; until [ -e end ]; do sleep 0.02; done
  - {name: after, type: shell, parse: text, cmd: "touch ${{ unit.name }}.after"}
  - {name: all, type: shell, parse: text, scope: once, cmd: touch all}
finally:
  - {name: off, type: shell, parse: text, scope: each, cmd: "touch ${{ unit.name }}.off"}
"""


@pytest.mark.own_interpreters
@pytest.mark.parametrize(
    ("options", "state"),
    [([], "wait"), (["--recipe-jobs=1"], "wait"), (["--recipe-jobs=1"], "rest"), (["-n2"], "wait")],
)
def test_a_unit_that_the_station_aborts_ends_alone(
    project: Project, options: list[str], state: str
) -> None:
    """With one slot, the unit B waits for the unit A when it is aborted in the state `rest`."""
    project.write("recipes/panel.yaml", PANEL)
    folder, unit = _folder(project), "A" if options == ["--recipe-jobs=1"] else "B"
    locked = write_batch(folder, Batch())
    page_lease.renew(folder)
    command = [*PYTEST, "recipes", f"--recipe-batch={folder / FILE}", *options]
    with subprocess.Popen(command, pass_fds=(locked,), stdout=subprocess.DEVNULL) as process:
        os.close(locked)
        began = project.path / f"{unit}.on"
        until(began.exists)
        unit = "B" if state == "rest" else unit
        write_aborts(folder, {unit: "Ann"})
        off = project.path / f"{unit}.off"
        journal = next(project.path.glob(".orchestrator/runs/2*/journal.jsonl"))
        if state == "wait":
            until(lambda: off.exists() or "pressed Abort" in journal.read_text())
        time.sleep(1 if state == "rest" else 0)
        (project.path / "end").touch()
        assert process.wait(60) == pytest.ExitCode.TESTS_FAILED

    record = load_run(journal.parent).record
    units: Any = summary(record)["recipes"][0]["units"]  # type: ignore[index, call-overload]
    others = {name: one["verdict"] for name, one in units.items() if name != unit}
    assert {*others.values()} == {"passed"}
    assert units[unit]["verdict"] == "interrupted"
    (recipe,) = record.recipes.values()
    cut = recipe.steps[f"wait[unit:{unit}]"]
    assert "Ann pressed Abort for unit" in cut.reason
    assert recipe.steps[f"after[unit:{unit}]"].state == "blocked"
    assert not (project.path / f"{unit}.after").exists()
    assert (project.path / "all").exists()
    assert (project.path / f"{unit}.off").exists()
    assert (project.path / f"{unit}.on").exists() is (state == "wait")
