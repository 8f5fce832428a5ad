"""Every fault of a program ends in time, is reported correctly, and leaves no process alive.

`scripts/soak` repeats the same many times, with the grace period and the time limits of steps;
the limits here are wider, because the machine may be loaded.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.faults import (
    EXPECTED_OUTPUT,
    FAULTS,
    PATIENCE,
    VICTIMS,
    Fault,
    alive,
    end,
    killed,
    new_token,
)
from pytest_orchestrator.execution.lanes.lane import Lane, Lanes
from pytest_orchestrator.execution.lanes.messages import LaneLost
from tests.tiers import kept_first

ROUNDS = 2
GRACE = 0.2
RUNS = 10

Kills = dict[str, list[Future[tuple[float | None, str]]]]


@pytest.fixture(scope="module")
def many() -> Iterator[list[Lane]]:
    with Lanes() as lanes:
        yield [lanes.shell() for _ in range(ROUNDS)]


@pytest.fixture(scope="module")
def kills(request: pytest.FixtureRequest) -> Iterator[Kills]:
    """Many kills at the same time: they wait for a grace period, not for each other."""
    cases = [getattr(item, "callspec", None) for item in request.session.items]
    wanted = {case.params.get("victim") for case in cases if case is not None}
    with ThreadPoolExecutor(2 * ROUNDS) as pool:
        yield {
            victim: [pool.submit(killed, victim, new_token(), PATIENCE) for _ in range(ROUNDS)]
            for victim in wanted.intersection(VICTIMS)
        }


def errors_of(fault: Fault, lane: Lane, folder: Path) -> list[str]:
    """Return the errors of a fault; repeat one whose program could not ignore TERM in time."""
    runs = (run_once(fault, lane, folder) for _ in range(RUNS))
    return next((errors for errors, is_ready in runs if is_ready or not errors), ["never ready"])


def run_once(fault: Fault, lane: Lane, folder: Path) -> tuple[list[str], bool]:
    token, is_ready = new_token(), True
    begun = time.monotonic()
    try:
        exited = lane.run(fault.request(token, folder, GRACE))
        wrong, is_ready = fault.wanted(exited), not exited.timed_out or exited.stdout.size > 0
    except LaneLost as lost:
        # A lane that does not reply is ended with its process tree: that is a timeout too.
        wrong = None if fault.timeout and lost.timed_out else str(lost)
    seconds = time.monotonic() - begun
    left = alive(token)
    end(token)
    late = [] if seconds < fault.bound + PATIENCE else [f"it took {seconds:.2f} s"]
    return left + late + list(filter(None, [wrong])), is_ready or bool(left + late)


@pytest.mark.parametrize("name", kept_first(FAULTS, "ignores-term", "daemon", "fork-bomb"))
def test_a_fault_ends_in_time_and_leaves_nothing_alive(
    many: list[Lane], name: str, tmp_path: Path
) -> None:
    fault = FAULTS[name]
    with ThreadPoolExecutor(2 if fault.heavy else ROUNDS) as pool:
        found = pool.map(lambda lane: errors_of(fault, lane, tmp_path), many)

    assert list(found) == [[]] * ROUNDS


@pytest.mark.parametrize("victim", kept_first(VICTIMS, "pytest", "lanes"))
def test_no_process_is_alive_after_a_kill(kills: Kills, victim: str) -> None:
    found = [kill.result() for kill in kills[victim]]

    assert [seconds for seconds, _ in found if seconds is None] == []


@pytest.mark.parametrize("victim", kept_first(EXPECTED_OUTPUT, "lanes"))
def test_a_step_whose_lane_was_killed_reports_the_cause(kills: Kills, victim: str) -> None:
    reports = [kill.result()[1] for kill in kills[victim]]

    assert [text for text in reports if not re.fullmatch(EXPECTED_OUTPUT[victim], text)] == []
