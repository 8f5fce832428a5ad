"""Lanes for Python steps start before the first item if a step needs them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.lanes.lane import Lane, PythonLane

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_SHELL = "type: shell, parse: text, cmd: 'true', needs: []"
_LAST = "type: shell, parse: text, cmd: 'true', needs: [one]"


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[PythonLane]:
    """Record the lanes that are started early."""
    found: list[PythonLane] = []
    start = PythonLane.start

    def noted(lane: PythonLane) -> None:
        start(lane)
        assert lane.pid is not None
        if lane not in found:
            found.append(lane)

    monkeypatch.setattr(PythonLane, "start", noted)
    return found


def _run_with(project: Project, plugin: object) -> pytest.RunResult:
    off = ("-p", "no:randomly", "-p", "no:hypothesispytest", "-p", "no:rerunfailures")
    return project.pytester.runpytest_inprocess(*off, plugins=[plugin])


@pytest.mark.own_interpreters
def test_a_lane_starts_before_the_first_item_and_the_steps_use_it(
    project: Project, started: list[PythonLane], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int | None] = []
    send = Lane._send  # noqa: SLF001

    def sent(lane: Lane, *args: object) -> None:
        asked.append(lane.pid)
        send(lane, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lane, "_send", sent)
    pids: list[int | None] = []
    project.recipe("x", {"one": "", "two": "needs: []"})

    class First:
        def pytest_runtest_logstart(self) -> None:
            pids.append(started[0].pid)

    _run_with(project, First()).assert_outcomes(passed=2)

    assert len(started) == 1
    assert pids == asked
    assert pids[0] is not None


@pytest.mark.parametrize(
    ("step", "args"),
    [
        ("", ("--collect-only",)),
        ("", ("--setup-plan",)),
        ("", ("--setup-only",)),
        ("", ("--fixtures-per-test",)),
        ("", ("--pdb",)),
        ("", ("-k", "shell")),
        ("", ("--recipe-needs=none", "-k", "last")),
        ("isolation: inline", ()),
        ("fixtures: [tmp_path]", ()),
    ],
)
def test_no_lane_starts_if_no_step_needs_one(
    project: Project, started: list[PythonLane], step: str, args: tuple[str, ...]
) -> None:
    project.recipe("x", {"shell": _SHELL, "one": step, "last": _LAST})

    project.run(*args)

    assert started == []


def test_a_needed_step_starts_a_lane(project: Project, started: list[PythonLane]) -> None:
    project.recipe("x", {"one": "", "last": _LAST})

    project.run("-k", "last").assert_outcomes(passed=1)

    assert len(started) == 1


@pytest.mark.parametrize(
    ("needs", "jobs", "lanes"), [("[]", 3, 3), ("[]", 9, 4), ("[one]", 3, 1), ("[]", 1, 1)]
)
def test_the_number_of_early_lanes_is_that_of_the_first_parallel_python_steps(
    project: Project, started: list[PythonLane], needs: str, jobs: int, lanes: int
) -> None:
    steps = {"one": "", **dict.fromkeys(("two", "three", "four"), f"needs: {needs}")}
    project.recipe("x", steps)

    project.run(f"--recipe-jobs={jobs}").assert_outcomes(passed=4)

    assert len(started) == lanes


def test_xdist_workers_start_no_lane_before_they_have_a_recipe(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        from pathlib import Path

        from pytest_orchestrator.execution.lanes.lane import PythonLane

        PythonLane.start = lambda self: Path("early").touch()
        """,
    )
    project.recipe("x", {"one": ""})

    project.spawn("-n2").assert_outcomes(passed=1)

    assert not (project.path / "early").exists()


@pytest.mark.own_interpreters
def test_a_lane_that_died_before_its_first_step_is_replaced(
    project: Project, started: list[PythonLane]
) -> None:
    killed: list[int] = []
    project.recipe("x", {"one": ""})

    class Killer:
        def pytest_runtest_setup(self) -> None:
            pid = started[0].pid
            assert pid is not None
            started[0]._lanes.drop(pid, grace=0.0)  # noqa: SLF001
            killed.append(pid)

    _run_with(project, Killer()).assert_outcomes(passed=1)

    assert len(killed) == 1


@pytest.mark.counted
def test_the_step_reports_a_lane_that_cannot_start(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connect(self: object, **program: object) -> None:
        raise OSError(11, "Resource temporarily unavailable", "sh")

    monkeypatch.setattr("pytest_orchestrator.execution.lanes.lane.Lanes.connect", connect)
    project.recipe("x", {"one": ""})

    result = project.run()

    result.assert_outcomes(failed=1)
