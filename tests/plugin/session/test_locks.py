"""Locks of recipes and steps are exclusive, however their pytest ends."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import threading
import time
from datetime import datetime
from itertools import pairwise
from typing import TYPE_CHECKING
from unittest.mock import Mock

import psutil
import pytest

from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.locks.locks import LockWait
from pytest_orchestrator.plugin.reporting import progress
from pytest_orchestrator.runs import lookup
from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.execution.locks.locks import LockSet
    from tests.plugin.conftest import Project

OTHER = "recipes/other.yaml::measure"
FREE = "type: shell, parse: text, cmd: 'true'"


@pytest.fixture(autouse=True)
def folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(project.path / "locks"))


def try_lock(name: str, *, wait: bool = False) -> LockSet | None:
    stop = threading.Event()
    if not wait:
        stop.set()
    return locks.acquire([name], run="run-1", step=OTHER, stop=stop)


def acquired(name: str, *, wait: bool = False) -> LockSet:
    held = try_lock(name, wait=wait)
    assert held is not None
    return held


def started(project: Project, *args: str) -> subprocess.Popen[bytes]:
    process: subprocess.Popen[bytes] = project.pytester.popen(
        [*PYTEST, *args], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    return process


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.001)


def test_two_pytests_with_fifty_steps_each_never_hold_a_lock_together(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `mkdir inside` fails if two steps run at the same time. A step ends only when the other
    # pytest waits for the lock or is over, so the two alternate.
    waits = "until [ -e over ] || ! flock -n locks/psu*.turn true; do sleep 0.002; done"
    cmd = f"mkdir inside && echo $WHO >> order && {{ {waits}; }} && rmdir inside"
    step = f"type: shell, parse: text, timeout: 60, locks: [psu], needs: [], cmd: '{cmd}'"
    steps = {f"s{number}": step for number in range(50)}
    project.recipe("x", steps, {"end": "type: shell, parse: text, cmd: touch over"})
    both = []
    for name in ("one", "other"):
        monkeypatch.setenv("WHO", name)
        both.append(started(project, "-q", "-p", "no:cacheprovider"))
    ends = [process.communicate()[0].decode() for process in both]
    assert [end.splitlines()[-1].partition(" in ")[0] for end in ends] == ["51 passed"] * 2
    order = (project.path / "order").read_text().splitlines()
    assert len(order) == 100
    changes = sum(one != other for one, other in pairwise(order))
    assert changes > 10, "they ran one after the other, and nothing was shown"


@pytest.mark.parametrize("options", [(), ("--recipe-jobs=3",)])
def test_a_lock_with_an_expression_is_acquired_or_fails_its_step(
    project: Project, options: tuple[str, ...]
) -> None:
    steps = {
        "a": f"{FREE}, outputs: {{port: psu}}",
        "b": f'{FREE}, needs: [a], locks: ["${{{{ ctx.port }}}}_1"]',
        "c": f'{FREE}, needs: [a], locks: ["${{{{ ctx.port }}}}_2"]',
        "d": f'{FREE}, needs: [a], locks: ["${{{{ ctx.port }}}}_1"]',
    }
    project.recipe("x", steps, head='vars: {rack: rack_7}\nlocks: ["${{ vars.rack }}"]')
    with acquired("psu_2"):
        outcomes = project.outcomes(*options)
    assert {name.rpartition("::")[2]: word for name, word in outcomes.items()} == {
        "a": "passed",
        "b": "passed",
        "c": "failed",
        "d": "passed",
    }
    assert [try_lock(name) is None for name in ("rack_7", "psu_1", "psu_2")] == [False] * 3


def test_a_lock_wait_names_the_owner_of_the_lock(project: Project) -> None:
    project.recipe("x", {"a": f"{FREE}, locks: [psu]"})
    with acquired("psu"):
        process = started(project)
        actual = _wait_line(process)
    out = process.communicate()[0].decode()
    assert re.fullmatch(
        rf"orchestrator: recipes/x.yaml::a waits for lock 'psu': {OTHER} has held it for \d+ s "
        rf"\(pid {os.getpid()}, \S+@\S+, run run-1\)",
        actual,
    )
    assert "waits for lock" not in out
    assert "1 passed" in out


def test_a_run_whose_recipe_waited_for_its_locks_is_recorded_as_passed(project: Project) -> None:
    project.recipe("x", {"a": FREE, "b": FREE}, head="locks: [psu]")
    with acquired("psu"):
        process = started(project)
        line = _wait_line(process)
    process.communicate()
    record = lookup.load_record(lookup.find_run(project.path / ".orchestrator" / "runs", "latest"))

    assert line.startswith("orchestrator: recipes/x.yaml waits for lock 'psu': ")
    assert process.returncode == 0
    assert [(step.name, step.state) for step in record.steps] == [("a", "passed"), ("b", "passed")]
    assert record.steps[0].phases[0][0] == "locked"


def test_an_xdist_worker_reports_a_lock_wait_in_the_report(project: Project) -> None:
    project.recipe("x", {"a": "type: shell, parse: text, cmd: exit 3, locks: [psu]"})
    # A worker has no terminal.
    project.write(
        "conftest.py",
        """
        from pathlib import Path

        from pytest_orchestrator.execution.locks import locks

        def paused(*given):
            Path("waits").touch()
            return real(*given)

        real, locks.paused = locks.paused, paused
        """,
    )
    with acquired("psu"):
        process = started(project, "-n1")
        wait_for(project.path / "waits", process)
    out = process.communicate()[0].decode()
    assert f"orchestrator: recipes/x.yaml::a waits for lock 'psu': {OTHER} has held it" in out


@pytest.mark.parametrize(("verbosity", "lines"), [(-1, 0), (0, 1), (1, 1)])
def test_a_lock_wait_is_not_printed_with_q(verbosity: int, lines: int) -> None:
    config = Mock(spec=["get_verbosity", "pluginmanager"])
    config.get_verbosity.return_value = verbosity
    plugins = {"terminalreporter": Mock(), "capturemanager": None}
    config.pluginmanager.get_plugin.side_effect = plugins.get
    progress.wait_printer(config)(
        LockWait(who="recipes/x.yaml", lock="psu", owner=None, seconds=0.0)
    )
    assert plugins["terminalreporter"].write_line.call_count == lines  # type: ignore[union-attr]


def _wait_line(process: subprocess.Popen[bytes]) -> str:
    assert process.stdout is not None
    while "waits for lock" not in (line := process.stdout.readline().decode()):
        assert process.poll() is None
    return line.strip()


def test_a_lock_wait_is_printed_and_not_part_of_the_duration(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.recipe("x", {"a": f"{FREE}, locks: [psu], timeout: 20", "b": FREE})
    held = acquired("psu")
    freed: list[float] = []

    def release() -> None:
        freed.append(time.time())
        held.release()

    later = threading.Timer(0.3, release)
    monkeypatch.setattr(progress, "wait_printer", lambda _: lambda _: later.start())
    blocks = project.blocks()
    assert blocks["a"]["step"]["state"] == "passed"
    actual = blocks["a"]["time"]
    assert actual["waited_seconds"] > 0.3
    start, stop = (datetime.fromisoformat(actual[name]).timestamp() for name in ("start", "stop"))
    assert freed[0] - 0.001 <= start  # it has a resolution of one millisecond
    assert actual["seconds"] <= stop - start + 0.002
    assert blocks["b"]["time"]["waited_seconds"] == 0.0


_LOOK = """
import threading

from pytest_orchestrator.execution.locks import locks


def look(ctx, params):
    stop = threading.Event()
    stop.set()
    for name in ("bench", "psu"):
        held = locks.acquire([name], run="", step="", stop=stop)
        if held:
            ctx.append(f"free.{params['at']}", name)
            held.release()
    return {"status": "ok"}
"""


def look(at: str, more: str = "") -> str:
    return f"type: python, module: look, function: look, params: {{at: {at}}}{more}"


def test_a_recipe_holds_its_locks_until_its_last_finally_step(project: Project) -> None:
    project.write("look.py", _LOOK)
    steps = {"a": look("a"), "b": look("b", ", locks: [psu]")}
    project.recipe("x", steps, {"off": look("off")}, head="locks: [bench]")
    project.recipe("y", {"after": look("after")})
    project.write(
        "test_it.py",
        """
        def test_it(ctx):
            seen = {at: ctx.get(f"free.{at}", []) for at in ("a", "b", "off", "after")}
            assert seen == {"a": [], "b": [], "off": [], "after": ["bench", "psu"]}
        """,
    )
    project.run("-p", "no:randomly", "recipes", "test_it.py").assert_outcomes(passed=5)


@pytest.mark.parametrize("selection", [(), ("-k", "a"), ("-x",)])
def test_no_lock_is_held_after_the_session(project: Project, selection: tuple[str, ...]) -> None:
    fails = "type: shell, parse: text, cmd: 'false'"
    project.recipe("x", {"a": FREE, "b": fails, "c": FREE}, {"off": FREE}, head="locks: [bench]")
    project.run(*selection)
    acquired("bench").release()


def test_no_lock_is_held_after_an_interrupted_session(project: Project) -> None:
    project.write("ends.py", "import pytest\n\ndef end(): pytest.exit('enough')\n")
    ends = "type: python, module: ends, function: end, isolation: inline"
    project.recipe("x", {"a": FREE, "b": ends, "c": FREE}, head="locks: [bench]")
    outcomes = project.run().parseoutcomes()
    assert (outcomes["passed"], outcomes["interrupted"]) == (1, 1)
    acquired("bench").release()


def test_recipes_one_after_the_other_use_one_lock(project: Project) -> None:
    for name in ("x", "y"):
        project.recipe(name, {"a": FREE}, {"off": FREE}, head="locks: [bench]")
    project.run().assert_outcomes(passed=4)


def test_a_lock_of_an_unfinished_recipe_of_this_session_fails_the_step(project: Project) -> None:
    for name in ("x", "y"):
        project.recipe(name, {"a": FREE}, head="locks: [bench]")
    project.write(
        "test_it.py",
        """
        import pytest

        @pytest.mark.recipe("recipes/x.yaml")
        def test_x(): pass

        @pytest.mark.recipe("recipes/y.yaml")
        def test_y(): pass

        @pytest.mark.recipe("recipes/x.yaml")
        def test_again(): pass
        """,
    )
    result = project.run("-p", "no:randomly", "test_it.py")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*lock 'bench' is held by recipes/x.yaml, whose run in this*"])


def test_ctrl_c_ends_a_wait(project: Project) -> None:
    project.recipe(
        "x",
        {"a": f"{FREE}, locks: [psu]"},
        {"off": "type: shell, parse: text, cmd: 'touch off'"},
    )
    with acquired("psu"):
        process = started(project, "-v")
        _wait_line(process)
        process.send_signal(2)
        process.communicate(timeout=60)
    assert process.returncode == 2
    assert not (project.path / "off").exists()


def test_a_step_does_not_inherit_the_lock_files(project: Project) -> None:
    project.write(
        "files.py",
        """
        import os

        def files():
            mine = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
            links = [os.readlink(path) for path in mine if os.path.exists(path)]
            assert [link for link in links if ".lock" in link] == []
            return {"status": "ok"}
        """,
    )
    cmd = "cmd: 'ls -l /proc/self/fd; ! ls -l /proc/self/fd | grep -F .lock'"
    steps = {
        "python": "type: python, module: files, function: files",
        "shell": f"type: shell, parse: text, {cmd}",
    }
    project.recipe("x", steps, head="locks: [bench]")
    project.run().assert_outcomes(passed=2)


_STUBBORN = """
import os
import signal
import time
from pathlib import Path


def stay(ctx, params):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Path("part").write_text(str(os.getpid()))
    Path("part").rename("pid")
    time.sleep(600)
"""


_STAYS = "type: python, module: stubborn, function: stay"
_SLEEPS = "type: shell, cmd: 'trap \"\" TERM; echo $$ > part; mv part pid; sleep 600; sleep 600'"


@pytest.mark.parametrize(
    ("step", "whole"),
    [
        (_STAYS, True),
        (_SLEEPS, False),
        pytest.param(_STAYS, False, marks=pytest.mark.nightly),
        pytest.param(_SLEEPS, True, marks=pytest.mark.nightly),
    ],
)
def test_a_lock_is_held_until_the_processes_of_a_killed_pytest_are_gone(
    project: Project, step: str, whole: bool
) -> None:
    project.write("stubborn.py", _STUBBORN)
    locked = {"a": step if whole else f"{step}, locks: [psu]"}
    project.recipe("x", locked, head="locks: [psu]" if whole else "")
    process = started(project)
    wait_for(project.path / "pid", process)
    stubborn = psutil.Process(int((project.path / "pid").read_text()))
    process.kill()
    process.communicate()
    with try_lock("psu") or acquired("psu", wait=True):
        assert not _lives(stubborn)


def _lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() != psutil.STATUS_ZOMBIE
    return False
