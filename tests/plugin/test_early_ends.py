"""A session whose process ends early never passes."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest

from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = """
import atexit
import os
import posix
import threading
import time

import pytest


def fails(ctx, params):
    assert not "it"

def passes(ctx, params):
    return {"status": "ok"}

def exits(ctx, params):
    os._exit(0)

def exits_by_posix(ctx, params):
    posix._exit(0)

def exits_with_three(ctx, params):
    os._exit(3)

def execs(ctx, params):
    os.execv("/bin/true", ["true"])

def execs_a_name(ctx, params):
    os.execlp("true", "true")

def exits_in_a_thread(ctx, params):
    threading.Thread(target=os._exit, args=(0,)).start()
    time.sleep(600)

def exits_at_the_end(ctx, params):
    atexit.register(os._exit, 0)
    return {"status": "ok"}

def execs_at_the_end(ctx, params):
    atexit.register(os.execv, "/bin/true", ["true"])
    return {"status": "ok"}

def leaves(ctx, params):
    pytest.exit("bye", 0)

def forks(ctx, params):
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    other = os.fork()
    if other == 0:
        os.execv("/bin/true", ["true"])
    ends = [os.waitpid(one, 0)[1] for one in (pid, other)]
    return {"status": "ok" if ends == [0, 0] else f"{ends}"}
"""


def _write(project: Project, *functions: str) -> None:
    project.write("bodies.py", _BODIES)
    call = "type: python, module: bodies, isolation: inline, needs: []"
    project.recipe("x", {name: f"{call}, function: {name}" for name in functions})


def _ended(project: Project, *functions: str) -> tuple[int, str]:
    """Run inline steps; return the exit status and the message about the early end."""
    _write(project, *functions)
    ended = project.spawn()
    lines = ended.stdout.str() + ended.stderr.str()
    said = re.findall(r"^orchestrator: (?!0\.|\d)(.*)$", lines, re.MULTILINE)
    return int(ended.ret), "\n".join(said)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        ("exits", "os._exit(0)"),
        ("exits_by_posix", "os._exit(0)"),
        ("exits_in_a_thread", "os._exit(0)"),
        ("execs", "os.execv"),
        ("execs_a_name", "os.execv"),
    ],
)
@pytest.mark.parametrize("first", ["fails", "passes"])
def test_an_inline_step_that_ends_pytest_fails_the_session(
    project: Project, body: str, what: str, first: str
) -> None:
    message = f"{what} in recipes/x.yaml::{body} ended pytest before its end: exit status 1"

    assert _ended(project, first, body) == (1, message)


@pytest.mark.parametrize(
    ("body", "what"), [("exits_at_the_end", "os._exit(0)"), ("execs_at_the_end", "os.execv")]
)
def test_code_that_runs_after_a_failed_session_cannot_make_it_pass(
    project: Project, body: str, what: str
) -> None:
    message = f"{what} ended pytest after it had failed: exit status 1"

    assert _ended(project, "fails", body) == (1, message)


@pytest.mark.parametrize(
    ("body", "status"),
    [("exits_at_the_end", 0), ("execs_at_the_end", 0), ("exits_with_three", 3), ("forks", 0)],
)
def test_other_exit_statuses_are_unchanged(project: Project, body: str, status: int) -> None:
    assert _ended(project, "passes", body) == (status, "")


@pytest.mark.parametrize(
    ("functions", "status"), [(["fails"], 1), (["passes"], 0), (["fails", "leaves"], 1)]
)
def test_an_exit_with_status_0_does_not_hide_a_failure(
    project: Project, functions: list[str], status: int
) -> None:
    project.write("test_z.py", "import pytest\n\ndef test_z():\n    pytest.exit('bye', 0)\n")

    assert _ended(project, *functions)[0] == status


@pytest.mark.own_interpreters
def test_coverage_that_also_wraps_os_exit_writes_its_data(project: Project) -> None:
    _write(project, "fails", "exits")
    project.write(
        "covered.toml", '[tool.coverage.run]\npatch = ["_exit"]\ninclude = ["bodies.py"]\n'
    )
    coverage = (sys.executable, "-m", "coverage", "run", "--rcfile=covered.toml")

    assert project.pytester.run(*coverage, *PYTEST[1:]).ret == 1
    assert (project.path / ".coverage").exists()


def test_the_exit_status_of_a_program_that_calls_pytest_main_is_unchanged(project: Project) -> None:
    _write(project, "fails")
    start = "import os, pytest; status = pytest.main(['-p', 'no:randomly']); os._exit(status - 1)"

    assert project.pytester.run(sys.executable, "-c", start).ret == 0
