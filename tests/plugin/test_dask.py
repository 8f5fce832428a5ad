"""Steps on workers of Dask: a session tells of them what it tells of steps on its own machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.plugin.lab import lab
from tests.plugin.views import REPORTS, differences, views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Project
    from tests.plugin.lab import Lab

ROOT = Path(__file__).parents[2]
PIN, SESSION, TOKEN = "pin-4711-of-vars", "session-of-the-context", "token-of-the-worker"

BENCH = f"""
import logging
import os
import warnings
from pathlib import Path

import pytest

log = logging.getLogger("bench")


def measure(ctx, params):
    ctx.set("session", "{SESSION}")
    ctx.append("volts", 11.9)
    print("log in", params["pin"], os.environ["BENCH_TOKEN"], ctx["session"])
    log.warning("the pin is %s", params["pin"])
    warnings.warn("the probe is worn out")
    Path("out").mkdir(exist_ok=True)
    Path("out", f"{{params['channel']}}.csv").write_text("volts\\n11.9\\n")
    return {{"status": "ok", "volts": 11.9}}


def flaky(ctx, params):
    file = Path("out", f"tries-{{params['channel']}}")
    file.parent.mkdir(exist_ok=True)
    tries = len(file.read_text()) + 1 if file.exists() else 1
    file.write_text("x" * tries)
    assert tries == 2, f"try {{tries}} with {{params['pin']}}"
    return {{"status": "ok"}}


def compare(ctx, params):
    assert ctx["volts"] == [12.0], os.environ["BENCH_TOKEN"]


def pause(ctx, params):
    pytest.skip("the chamber is warm")
"""

RECIPE = f"""
matrix: {{channel: [1, 2]}}
vars: {{pin: {PIN}}}
secrets: [vars.pin, ctx.session]
defaults: {{parse: text}}
x-of-bench: &bench
  type: python
  module: bench
  params: {{channel: "${{{{ matrix.channel }}}}", pin: "${{{{ vars.pin }}}}"}}
steps:
  - name: unlock
    type: shell
    cmd: echo "unlocked SIM-7 with $PIN and $BENCH_TOKEN"
    args: {{PIN: "${{{{ vars.pin }}}}"}}
    outputs: {{bench.serial: {{from: stdout, regex: 'SIM-(\\d)'}}}}
    success: {{stdout_contains: unlocked}}
  - name: measure
    <<: *bench
    function: measure
    needs: [unlock]
    artifacts: [out/*.csv]
    measurements: {{supply: {{value: result.volts, unit: V, low: 11, high: 13}}}}
    success:
      files: [{{path: "out/${{{{ matrix.channel }}}}.csv", contains: volts, fresh: true}}]
      ctx_has_keys: [session]
  - {{name: flaky, <<: *bench, function: flaky, needs: [unlock], retry: {{attempts: 3}}}}
  - {{name: compare, <<: *bench, function: compare, needs: [measure]}}
  - {{name: blocked, type: shell, cmd: exit 1, needs: [compare]}}
  - {{name: known, type: shell, cmd: exit 3, needs: [flaky], xfail: BUG-17}}
  - {{name: pause, <<: *bench, function: pause, needs: []}}
  - {{name: none, type: shell, cmd: cat, success: {{files_exist: [nothing.txt]}}, needs: []}}
finally:
  - {{name: cool, type: shell, cmd: echo off}}
"""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A scheduler and two workers, with a secret in their own environment."""
    with lab(tmp_path_factory.mktemp("lab"), threads=2, environ={"BENCH_TOKEN": TOKEN}) as found:
        yield found


@pytest.fixture
def dask(workers: Lab) -> str:
    """The option that has steps run by these workers.

    Such a session is a process of its own: what pytester takes away of Dask after a session in this
    one does not all come twice into a process.
    """
    return f"--recipe-dask={workers.address}"


class Told:
    """What a run tells.

    Attributes:
        result: The run.
        blocks: The blocks of its steps, by node id.
    """

    def __init__(self, project: Project, *args: str) -> None:
        file = project.path / "told.json"
        file.unlink(missing_ok=True)
        self.result = project.spawn("-rA", *REPORTS, *args)
        self.report = file.read_text()
        self.views = views(project.path)
        tests = json.loads(self.report)["tests"]
        found = [test["metadata"]["orchestrator"] for test in tests if "metadata" in test]
        self.blocks = {block["step"]["node"]: block for block in found}

    @property
    def is_away(self) -> set[bool]:
        """Tell of the steps that ran whether a worker has run them."""
        ran = [one for one in self.blocks.values() if one.get("process")]
        return {"where" in block for block in ran}


def test_the_samples_tell_the_same(project: Project, dask: str) -> None:
    for name in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / name, project.path / name)
    here = Told(project)
    shutil.rmtree(project.path / "out")
    there = Told(project, dask)

    assert there.result.ret == here.result.ret == 0
    assert there.result.parseoutcomes() == here.result.parseoutcomes()
    assert list(differences(here.views, there.views)) == []
    ran_here = {node for node, block in there.blocks.items() if "where" not in block}
    assert {there.blocks[node]["step"]["state"] for node in ran_here} <= {"skipped", "passed"}


def test_whatever_becomes_of_steps_is_told_the_same_and_no_secret(
    project: Project, dask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("bench.py", BENCH)
    project.write("recipes/x.yaml", RECIPE)
    monkeypatch.setenv("BENCH_TOKEN", TOKEN)
    here = Told(project)
    shutil.rmtree(project.path / "out")
    monkeypatch.delenv("BENCH_TOKEN")
    shutil.rmtree(project.path / ".orchestrator")
    there = Told(project, dask)

    assert there.result.parseoutcomes() == here.result.parseoutcomes()
    assert list(differences(here.views, there.views)) == []
    assert (here.is_away, there.is_away) == ({False}, {True})
    states = {node.partition("::")[2]: one["step"]["state"] for node, one in there.blocks.items()}
    assert states == {
        f"{name}[channel:{channel}]": state
        for channel in (1, 2)
        for name, state in {
            "unlock": "passed",
            "measure": "passed",
            "flaky": "passed",
            "compare": "failed",
            "blocked": "blocked",
            "known": "xfailed",
            "pause": "skipped",
            "none": "failed",
            "cool": "passed",
        }.items()
    }
    begun = {one["time"]["start"] for one in there.blocks.values() if one.get("process")}
    assert len(begun) > 12  # when each began, and not when they were handed out

    (copy,) = project.path.glob(".orchestrator/runs/2*/artifacts/x/channel=1/out/1.csv")
    assert copy.read_text() == "volts\n11.9\n"
    (log,) = project.path.glob(".orchestrator/runs/2*/logs/x/channel=1/measure.1.stdout")
    assert log.read_text() == "log in *** *** ***\n"
    files = [*project.path.glob(".orchestrator/**/*"), project.path / "told.xml"]
    texts = {one.name: one.read_bytes() for one in files if one.is_file()}
    assert {"journal.jsonl", "context.json", "told.xml"} <= set(texts)
    texts |= {"shown": str(there.result.stdout).encode(), "report": there.report.encode()}
    for word in (PIN, SESSION, TOKEN):
        assert [name for name, text in texts.items() if word.encode() in text] == []


_ENDS = """
import pytest


def end(ctx, params):
    pytest.exit("power is off", 7)
"""


def test_a_run_that_is_cut_short_goes_on_later(project: Project, dask: str) -> None:
    check = "type: shell, parse: text, cmd: test -e mended"
    project.recipe("x", {"one": "", "two": check, "three": "", "four": ""}, {"off": ""})
    project.spawn(dask, "-x").assert_outcomes(passed=2, failed=1)
    assert project.ran == ["one", "off"]

    project.write("mended", "")
    project.spawn(dask, "--recipe-resume").assert_outcomes(passed=4, skipped=1)
    assert project.ran == ["one", "off", "three", "four", "off"]

    project.forget()
    options = ("--recipe-needs=snapshot", "-k", "four")
    project.spawn(dask, *options).assert_outcomes(passed=1, deselected=4)
    assert project.ran == ["four", "off"]

    project.write("ends.py", _ENDS)
    project.recipe(
        "x", {"one": "", "last": "type: python, module: ends, function: end"}, {"off": ""}
    )
    project.forget()
    assert project.spawn(dask).ret == 7
    assert project.ran == ["one", "off"]


def test_a_large_result_comes_from_a_worker_as_from_a_lane(project: Project, dask: str) -> None:
    """What a step may return beside pytest it may return on a worker: 16 MiB at most."""
    large = """printf '{"status": "ok", "a": "%015000000d"}' 7"""
    project.write("large.sh", f"#!/bin/sh\n{large}\n").chmod(0o755)
    project.write("recipes/x.yaml", "steps: [{name: s, type: shell, cmd: ./large.sh}]\n")
    project.run(dask).assert_outcomes(passed=1)
