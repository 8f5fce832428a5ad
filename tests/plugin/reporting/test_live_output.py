"""With ``-s`` the output of a step is shown once, while the step runs."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_SHELL = "type: shell, parse: text"
_PYTHON = "type: python, module: talks, function: talk"
_PARALLEL = pytest.param(("-s", "--recipe-jobs=2"), marks=pytest.mark.measured)
_TALKS = """
import sys
import time
from pathlib import Path


def talk(ctx, params):
    print("said early")
    print("warned early", file=sys.stderr)
    while not Path("heard").exists():
        time.sleep(0.001)
    print("said late")
    return {"status": params.get("status", "ok")}
"""
_TALK = (
    "echo said early; echo warned early >&2; until [ -e heard ]; do sleep 0.01; done; "
    "echo said late; exit {0}"
)


def _command(status: int = 0) -> str:
    return f"{_SHELL}, cmd: {json.dumps(['sh', '-c', _TALK.format(status)])}"


def _seen(project: Project, step: str, *args: str) -> list[str]:
    """Run a step that waits until this test has read its first line; return all lines."""
    project.ini("recipe_timeout = 20s")
    project.write("talks.py", _TALKS)
    project.recipe("x", {"talk": step})
    process = project.pytester.popen(
        [*PYTEST, *args],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout is not None
    lines: list[str] = []
    while not {"said early", "warned early"} <= set(map(_said, lines)):
        line = process.stdout.readline().decode()
        assert line, lines
        lines.append(line.rstrip("\n"))
    assert "said late" not in lines
    (project.path / "heard").touch()
    rest = process.communicate()[0].decode()
    return [*lines, *rest.splitlines()]


def _said(line: str) -> str:
    """Return a line without the file name that pytest prints before it."""
    return line.removeprefix("recipes/x.yaml ").removeprefix("recipes/x.yaml::talk ")


@pytest.mark.parametrize("step", [_PYTHON, _command()])
@pytest.mark.parametrize(
    "args",
    [
        ("-s",),
        pytest.param(("--capture=no", "-v"), marks=pytest.mark.nightly),
        _PARALLEL,
        ("--capture=tee-sys",),
    ],
)
def test_output_is_shown_while_the_step_runs_and_not_repeated(
    project: Project, step: str, args: tuple[str, ...]
) -> None:
    lines = list(map(_said, _seen(project, step, *args)))

    for line in ("said early", "warned early"):
        assert lines.count(line) == 1
    assert sum(line.startswith("said late") for line in lines) == 1
    assert any(" 1 passed in " in line for line in lines)


@pytest.mark.parametrize("step", [f"{_PYTHON}, params: {{status: bad}}", _command(3)])
@pytest.mark.parametrize(("args", "times"), [(("-s",), 1), (("--capture=tee-sys",), 2)])
def test_the_report_of_a_failed_step_contains_captured_output(
    project: Project, step: str, args: tuple[str, ...], times: int
) -> None:
    lines = list(map(_said, _seen(project, step, *args)))

    assert lines.count("said early") == times
    assert lines.count("warned early") == 1
    assert "  warned early" in lines  # below the path of its log
    sections = [line.strip("- ") for line in lines if line.startswith("---")]
    captured = ["Captured stdout call"] * (times - 1)
    assert [line for line in sections if line.startswith("Captured")] == captured


def test_output_of_a_fixture_is_shown_before_that_of_the_step(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import pytest

        @pytest.fixture(autouse=True)
        def bench():
            print("power on")
            yield
            print("power off")
        """,
    )
    project.recipe("x", {"talk": f"{_SHELL}, cmd: echo talks"})

    lines = list(map(_said, project.spawn("-s").outlines))

    at = lines.index("power on")
    assert (lines[at + 1], lines[at + 2]) == ("talks", ".power off")


@pytest.mark.measured
def test_output_of_parallel_steps_is_shown_step_by_step(project: Project) -> None:
    loop = "i=0; while [ $i -lt 500 ]; do echo {0}; i=$((i + 1)); done"
    steps = {
        name: f"{_SHELL}, needs: [], cmd: {json.dumps(['sh', '-c', loop.format(name * 9)])}"
        for name in "abc"
    }
    project.recipe("x", steps)

    lines = list(map(_said, project.spawn("--capture=tee-sys", "--recipe-jobs=3").outlines))

    said = [line.lstrip(".") for line in lines if line.lstrip(".") in {n * 9 for n in "abc"}]
    assert said == sorted(said)
    assert len(said) == 1500


@pytest.mark.parametrize("args", [("-s",), ("--capture=tee-sys",)])
def test_output_is_shown_at_the_end_if_pytest_has_no_real_streams(
    project: Project, args: tuple[str, ...]
) -> None:
    project.recipe("x", {"talk": f"{_SHELL}, cmd: echo talks"})

    lines = list(map(_said, project.run(*args).outlines))

    assert lines.count("talks") == 1
