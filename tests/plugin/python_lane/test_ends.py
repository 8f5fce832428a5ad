"""No process of a Python step stays alive when pytest ends, in whatever way."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.files import is_readable
from tests.plugin.conftest import PYTEST
from tests.tiers import kept_first

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Project

pytestmark = pytest.mark.own_interpreters

_BODIES = """
import os, signal, subprocess, time


def waits(ctx, params):
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    _ready()
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass


def obeys(ctx, params):
    _ready()
    time.sleep(600)


def _ready():
    with open("ready", "w") as pipe:
        pipe.write("x")
"""
_HANGS = """
import signal, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 32))
with open("ready", "w") as pipe:
    pipe.write("x")
time.sleep(600)
"""
_ENDLESS_GRACE = """
from functools import partial
from pathlib import Path

from pytest_orchestrator.execution.lanes import lane
from pytest_orchestrator.execution.steps import python_process


def hang_up(*given):
    Path("hangs_up").touch()
    wait(*given)


python_process.StepRequest = partial(python_process.StepRequest, grace=600.0)
lane.ANSWER = 600.0
lane.Lane._disconnect, wait = hang_up, lane.Lane._disconnect
"""
# An xdist worker interrupts itself some seconds after its controller is gone.
_NOTED_INTERRUPTS = """
import signal
from pathlib import Path


def interrupt(*given):
    Path("interrupted").touch()
    signal.default_int_handler(*given)


signal.signal(signal.SIGINT, interrupt)
"""
_TIMEOUT = 60.0


class Session:
    """A pytest process in the middle of a step, or with a step on each of two xdist workers."""

    def __init__(self, project: Project, function: str, *options: str) -> None:
        self._token = f"token-{project.path}"
        project.write("bodies.py", _BODIES)
        project.write("hanging.py", _HANGS)
        module = "hanging" if function == "hangs" else "bodies"
        step = f"type: python, module: {module}, function: {function}"
        workers = 2 if options else 1
        for number in range(workers):
            project.recipe(f"x{number}", {"one": step})
        os.mkfifo(project.path / "ready")
        self.process = subprocess.Popen(
            [*PYTEST, *options],
            cwd=project.path,
            env=os.environ | {"RECIPE_TOKEN": self._token},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        # Open for writing too, so that the pipe has no end of file between two steps.
        with (project.path / "ready").open("r+b", buffering=0) as pipe:
            for _ in range(workers):
                while not is_readable(pipe.fileno(), 1.0):
                    assert self.process.poll() is None
                pipe.read(1)

    def processes(self) -> list[int]:
        """Return the pids of all its processes."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):
                if self._token.encode() in path.read_bytes():
                    found.append(int(path.parent.name))
        return found

    def left(self) -> list[int]:
        """Wait for all its processes; return the pids that are still alive after 60 s."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                gone = os.pidfd_open(pid)
                is_readable(gone, _TIMEOUT)
                os.close(gone)
        return self.processes()


@pytest.fixture
def begun(project: Project, request: pytest.FixtureRequest) -> Iterator[Session]:
    session = Session(project, *request.param.split())
    yield session
    for pid in session.processes():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    session.process.wait()


@pytest.fixture
def noted_interrupts(project: Project) -> None:
    """Write a file when pytest or one of its workers is interrupted."""
    project.write("conftest.py", _NOTED_INTERRUPTS)


@pytest.mark.usefixtures("noted_interrupts")
@pytest.mark.parametrize(
    "begun",
    kept_first(["obeys", "waits", "obeys -n2", "waits -n2"], "hangs", "hangs -n2"),
    indirect=True,
)
def test_no_process_is_alive_after_sigkill(begun: Session, project: Project) -> None:
    assert len(begun.processes()) >= 3

    begun.process.kill()
    begun.process.wait()

    assert begun.left() == []
    assert not (
        project.path / "interrupted"
    ).exists()  # no worker lived long enough to interrupt itself


@pytest.mark.parametrize(
    ("begun", "number"),
    [
        ("obeys", signal.SIGINT),
        ("waits", signal.SIGTERM),
        pytest.param("waits", signal.SIGINT, marks=pytest.mark.nightly),
        pytest.param("obeys", signal.SIGTERM, marks=pytest.mark.nightly),
        pytest.param("obeys", signal.SIGHUP, marks=pytest.mark.nightly),
        pytest.param("waits", signal.SIGHUP, marks=pytest.mark.nightly),
    ],
    indirect=["begun"],
)
def test_no_process_is_alive_after_a_signal(begun: Session, number: signal.Signals) -> None:
    begun.process.send_signal(number)

    assert begun.process.wait(_TIMEOUT) == 2
    assert begun.left() == []


@pytest.fixture
def endless_grace(project: Project) -> None:
    """Give steps a grace period that is longer than the test."""
    project.write("conftest.py", _ENDLESS_GRACE)


@pytest.mark.usefixtures("endless_grace")
@pytest.mark.parametrize("begun", kept_first(["waits"], "hangs"), indirect=True)
def test_a_second_ctrl_c_ends_pytest_at_once(begun: Session, project: Project) -> None:
    begun.process.send_signal(signal.SIGINT)
    while not (project.path / "hangs_up").exists():  # the kernel may merge two pending signals
        assert begun.process.poll() is None
    begun.process.send_signal(signal.SIGINT)

    assert begun.process.wait(_TIMEOUT) in (2, -signal.SIGINT)
    assert begun.left() == []
