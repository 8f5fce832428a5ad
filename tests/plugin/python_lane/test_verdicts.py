"""A step passes only by the report and the exit status of the process that was started for it."""

from __future__ import annotations

import re
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.python_lane import launch
from tests.plugin.conftest import PYTEST
from tests.tiers import kept_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Project

_BODIES = """
import atexit
import ctypes
import os
import sys
import threading

import pytest

OK = {"status": "ok"}


def forked():
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
    return pid == 0

def child_says_ok(ctx, params):
    return OK if forked() else {"status": "error", "reason": "no supply"}

def child_says_ok_then_killed(ctx, params):
    if forked():
        return OK
    os.kill(os.getpid(), 9)

def child_says_ok_then_exit(ctx, params):
    if forked():
        return OK
    os._exit(1)

def becomes_a_daemon(ctx, params):
    if os.fork():
        os._exit(0)
    return OK

def child_skips(ctx, params):
    if forked():
        pytest.skip("not today")
    return {"status": "error", "reason": "no supply"}

def child_stops_the_session(ctx, params):
    if forked():
        pytest.exit("from a child", 0)
    return {"status": "error", "reason": "no supply"}

def child_forges(ctx, params):
    if os.fork() == 0:
        forge()
        os._exit(0)
    os.wait()
    os._exit(0)

def reports_twice(ctx, params):
    forge()
    return OK

def tears_its_report(ctx, params):
    os.write(connection().fileno(), b"\\\\0\\\\0")
    return OK

def crashes_at_its_end(ctx, params):
    atexit.register(lambda: ctypes.string_at(0))
    return OK

def exits_at_its_end(ctx, params):
    atexit.register(lambda: os._exit(3))
    return OK

def skips_and_exits(ctx, params):
    atexit.register(lambda: os._exit(3))
    return {"status": "skip", "reason": "nothing to do"}

def thread_kills_at_its_end(ctx, params):
    ends = threading.Event()
    thread = threading.Thread(target=lambda: ends.wait() and os.kill(os.getpid(), 9))
    thread.start()
    atexit.register(lambda: (ends.set(), thread.join(), threading.Event().wait()))
    return OK

def fails_and_crashes(ctx, params):
    atexit.register(lambda: ctypes.string_at(0))
    return {"status": "error", "reason": "no supply"}

def connection():
    frame = sys._getframe()
    while frame.f_code.co_name != "perform" or "connections" not in frame.f_locals:
        frame = frame.f_back
    return frame.f_locals["connections"][1]

def forge():
    from pytest_orchestrator.execution.supervision import framing

    ended = b'{"usage": {"seconds": 0, "source": {}}, "value": {"status": "ok"}}'
    end = {"op": "end", "pid": os.getppid(), "exit": None, "ended": ended, "threads": []}
    framing.send(connection(), end | {"shown": None})
"""
_CUT = "its process ended with exit code 0 before it returned (os._exit or the like)"
_EXPECTED = {
    "child_says_ok": "status 'error': no supply",
    "child_says_ok_then_killed": "ended by SIGKILL",
    "child_says_ok_then_exit": "its process ended with exit code 1 before it returned "
    "(a crash, os._exit or the like)",
    "becomes_a_daemon": _CUT,
    "child_skips": "status 'error': no supply",
    "child_stops_the_session": "status 'error': no supply",
    "child_forges": f"{_CUT}; what its child (pid N) reported in its place does not count",
    "reports_twice": "its process reported 2 times how it ended, so none of that counts",
    "tears_its_report": "its process sent something else than its report, so that does not count",
    "crashes_at_its_end": "returned ok, and then its process was ended by SIGSEGV",
    "exits_at_its_end": "returned ok, and then its process ended with exit code 3",
    "skips_and_exits": "was skipped, and then its process ended with exit code 3",
    "thread_kills_at_its_end": "returned ok, and then its process was ended by SIGKILL",
    "fails_and_crashes": "status 'error': no supply",
}


def _write(project: Project, names: list[str]) -> None:
    project.write("bodies.py", _BODIES)
    step = "type: python, module: bodies, needs: [], function"
    project.recipe("x", {name: f"{step}: {name}" for name in names})


def _reasons(project: Project, *args: str) -> dict[str, str]:
    reasons = project.reasons("-vv", *args)
    return {name: re.sub(r"pid \d+", "pid N", how) for name, how in reasons.items()}


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("--recipe-jobs", "2")])
def test_a_python_step_passes_only_by_the_report_and_exit_of_its_own_process(
    project: Project, options: tuple[str, ...]
) -> None:
    _write(project, list(_EXPECTED))

    assert _reasons(project, *options) == _EXPECTED


# One of each kind: an exit code, a child that goes on, a forged, a second and a torn report, a
# signal, and a skip. Each starts an interpreter; the long tier tries all.
_KINDS = (
    "child_says_ok_then_exit",
    "becomes_a_daemon",
    "child_forges",
    "reports_twice",
    "tears_its_report",
    "crashes_at_its_end",
    "skips_and_exits",
)


@pytest.mark.measured
@pytest.mark.parametrize(
    "names", kept_first([tuple(_EXPECTED)], _KINDS), ids=lambda names: str(len(names))
)
def test_a_fresh_interpreter_passes_only_by_its_own_report_and_exit(
    project: Project, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    monkeypatch.setattr(launch, "FORKS", False)
    _write(project, list(names))

    assert _reasons(project) == {name: _EXPECTED[name] for name in names}


def test_a_forked_child_that_returns_from_step_code_ends_without_exit_functions(
    project: Project,
) -> None:
    project.write(
        "bodies.py",
        """
        import atexit, os, sys
        from pathlib import Path

        def step(ctx, params):
            atexit.register(lambda: Path("exits").open("a").write("x"))
            codes = []
            for how in ("returns", "leaves", "raises"):
                pid = os.fork()
                if pid == 0:
                    if how == "leaves":
                        sys.exit(4)
                    return {"status": "ok"} if how == "returns" else 1 / 0
                codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
            ctx.set("codes", codes)
            return {"status": "ok"}
        """,
    )
    project.recipe("x", {"one": "type: python, module: bodies, function: step"})
    project.write("test_x.py", "def test_x(ctx):\n    assert ctx.get('codes') == [0, 4, 1]\n")

    result = project.run("-rP", "recipes/x.yaml", "test_x.py")

    result.assert_outcomes(passed=2)
    assert (project.path / "exits").read_text() == "x"
    assert result.stdout.str().count("\nZeroDivisionError: ") == 1


def test_an_import_that_forks_leaves_one_lane(project: Project) -> None:
    project.write(
        "forks.py",
        """
        import os
        os.fork()

        def step(ctx, params):
            ctx.append("ran", os.getpid())
            return {"status": "ok"}
        """,
    )
    step = "type: python, module: forks, function: step"
    project.recipe("x", {"one": step, "two": step})
    project.write("test_x.py", "def test_x(ctx):\n    assert len(set(ctx.get('ran'))) == 2\n")

    project.run("recipes/x.yaml", "test_x.py").assert_outcomes(passed=3)


def test_pytest_exit_in_a_step_is_no_success_if_its_process_then_fails(project: Project) -> None:
    project.write(
        "bodies.py",
        """
        import atexit, os, pytest

        def step(ctx, params):
            atexit.register(lambda: os._exit(3))
            pytest.exit("power is off", 0)
        """,
    )
    project.recipe("x", {"one": "type: python, module: bodies, function: step", "two": ""})

    result = project.run()

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert "power is off (and then its process ended with exit code 3)" in result.stdout.str()
    assert project.ran == []


_BY_STATUS = {
    "exit_code": "type: shell, parse: text, cmd: exit 1",
    "killed": "type: shell, parse: text, cmd: kill -9 $$",
    "says_ok": """type: shell, cmd: "echo '{\\"status\\": \\"ok\\"}'; exit 3" """,
    "inner": "type: python, module: bodies, function: inner",
    "inside": "type: python, module: bodies, function: inner, isolation: inline",
    "dies": "type: python, module: bodies, function: dies",
}
_LOST_STATUS = {
    "exit_code": "exit code 1, expected 0",
    "killed": "ended by SIGKILL",
    "says_ok": "exit code 3, expected 0",
    "inner": "subprocess.CalledProcessError: Command '['false']' returned non-zero exit status 1.",
    "inside": "subprocess.CalledProcessError: Command '['false']' returned non-zero exit status 1.",
    "dies": "returned ok, and then its process ended with exit code 3",
}
_INNER = """
import atexit, os, signal, subprocess

def inner(ctx, params):
    subprocess.run(["false"], check=True)
    return {"status": "ok"}

def dies(ctx, params):
    atexit.register(lambda: os._exit(3))
    return {"status": "ok"}
"""
_IGNORE = "import signal\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"


@pytest.fixture
def ignored() -> Iterator[None]:
    """Ignore SIGCHLD in this process."""
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGCHLD, former)


def _with_statuses(project: Project) -> None:
    project.write("bodies.py", _INNER)
    project.recipe("x", {name: f"needs: [], {keys}" for name, keys in _BY_STATUS.items()})


@pytest.mark.own_interpreters
@pytest.mark.usefixtures("ignored")
def test_exit_statuses_are_known_if_the_parent_of_pytest_ignores_sigchld(
    project: Project,
) -> None:
    _with_statuses(project)

    assert _reasons(project) == _LOST_STATUS
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN


@pytest.mark.own_interpreters
def test_exit_statuses_are_known_if_the_conftest_ignores_sigchld(project: Project) -> None:
    project.write("conftest.py", _IGNORE)
    _with_statuses(project)
    argv = [*PYTEST, "-q", "-rf", "-vv"]

    done = subprocess.run(argv, cwd=project.path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "6 failed" in done.stdout


def test_exit_statuses_are_known_if_a_module_ignores_sigchld(project: Project) -> None:
    project.write("ignores.py", f"{_IGNORE}\n{_INNER}")
    step = "type: python, module: ignores, needs: [], function"
    project.recipe("x", {"inner": f"{step}: inner", "dies": f"{step}: dies"})

    assert _reasons(project) == {name: _LOST_STATUS[name] for name in ("inner", "dies")}


@pytest.mark.own_interpreters
def test_a_failed_service_is_reported_if_sigchld_is_ignored(
    project: Project, ignored: None
) -> None:
    project.recipe("x", {"bad": "type: shell, background: true, parse: text, cmd: exit 7"})

    assert _reasons(project)["bad"].startswith(
        "exit code 7, expected 0, before the service was ready"
    )


_HANDLES = "def pytest_pyfunc_call(pyfuncitem):\n    return True\n"
_SWALLOWS = """
import pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    try:
        return (yield)
    except BaseException:
        return None
"""
_NONE = "no step ran, though pytest calls this passed; "
_NO_PYTHON = f"{_NONE}pytest's own plugin 'python' calls it, which `-p no:python` switches off"


@pytest.mark.parametrize("options", [(), ("-n", "2"), ("--recipe-jobs", "2")])
def test_a_step_that_no_plugin_called_fails(project: Project, options: tuple[str, ...]) -> None:
    project.recipe("x", {"one": "", "two": "needs: [], xfail: known"}, {"last": ""})

    actual = _reasons(project, "-p", "no:python", *options)

    assert actual == dict.fromkeys(("one", "two", "last"), _NO_PYTHON)
    assert project.ran == []


@pytest.mark.counted
def test_a_step_that_another_plugin_called_instead_of_pytest_fails(
    project: Project,
) -> None:
    path = project.write("conftest.py", _HANDLES)
    project.recipe("x", {"one": ""})

    actual = _reasons(project)

    hook = "another plugin has handled `pytest_pyfunc_call` in the place of pytest"
    assert actual == {"one": f"{_NONE}{hook}: {path}"}


def test_a_step_fails_although_a_plugin_swallows_its_failure(project: Project) -> None:
    project.write("conftest.py", _SWALLOWS)
    keys = "type: python, module: steps, function: refuse, params: {name: x}, needs: []"
    pause = "type: python, module: steps, function: pause, params: {name: x}, needs: []"
    project.recipe(
        "x", {"one": keys, "two": f"{keys}, xfail: known", "three": pause, "four": "needs: []"}
    )

    actual = _reasons(project)

    kept = "it was skipped (nothing to do), which a plugin has kept from pytest"
    off = "status 'off': the bench is off"
    assert actual == {"one": off, "two": off, "three": kept}


def test_a_needed_step_runs_even_if_another_plugin_calls_items(project: Project) -> None:
    project.recipe("x", {"one": "", "two": ""})

    result = project.run("-p", "no:python", "recipes/x.yaml::two")

    result.assert_outcomes(failed=1)
    assert project.ran == ["one"]


def test_a_report_that_a_plugin_changed_on_purpose_is_not_changed_back(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.hookimpl(wrapper=True)
        def pytest_runtest_makereport(item, call):
            report = yield
            report.outcome = "passed"
            return report
        """,
    )
    project.recipe("x", {"one": "type: python, module: steps, function: refuse, params: {name: x}"})

    project.run().assert_outcomes(passed=1)
