"""Whatever a program does, it ends in time, is told right, and leaves nothing alive.

`scripts/soak` does the same a hundred times, with the grace that steps are given and with the
seconds that they may take; here the machine may have much else to do.
"""

import re
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.faults import FAULTS, PATIENCE, TOLD, VICTIMS, Fault, alive, end, killed, new_token
from pytest_orchestrator.execution.lanes.lane import Lane, Lanes
from pytest_orchestrator.execution.lanes.messages import LaneLost

ROUNDS = 5
GRACE = 0.2
TRIES = 10

Kills = dict[str, list[Future[tuple[float | None, str]]]]


@pytest.fixture(scope="module")
def many() -> Iterator[list[Lane]]:
    with Lanes() as lanes:
        yield [lanes.shell() for _ in range(ROUNDS)]


@pytest.fixture(scope="module")
def kills() -> Iterator[Kills]:
    """Many kills at once: they wait for a grace, not for each other."""
    with ThreadPoolExecutor(2 * ROUNDS) as pool:
        yield {
            victim: [pool.submit(killed, victim, new_token(), PATIENCE) for _ in range(ROUNDS)]
            for victim in VICTIMS
        }


def told_wrong(fault: Fault, lane: Lane, folder: Path) -> list[str]:
    """Return what is wrong; a program that was not ready to ignore TERM in time tries again."""
    tries = (told_once(fault, lane, folder) for _ in range(TRIES))
    return next((wrong for wrong, is_ready in tries if is_ready or not wrong), ["never ready"])


def told_once(fault: Fault, lane: Lane, folder: Path) -> tuple[list[str], bool]:
    token, is_ready = new_token(), True
    begun = time.monotonic()
    try:
        exited = lane.run(fault.request(token, folder, GRACE))
        wrong, is_ready = fault.wanted(exited), not exited.timed_out or exited.stdout.size > 0
    except LaneLost as lost:
        # A lane that is late is ended itself, with all that it runs: that is a timeout too.
        wrong = None if fault.timeout and lost.timed_out else str(lost)
    seconds = time.monotonic() - begun
    left = alive(token)
    end(token)
    late = [] if seconds < fault.bound + PATIENCE else [f"it took {seconds:.2f} s"]
    return left + late + list(filter(None, [wrong])), is_ready or bool(left + late)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_ends_in_time_and_leaves_nothing_alive(
    many: list[Lane], name: str, tmp_path: Path
) -> None:
    fault = FAULTS[name]
    with ThreadPoolExecutor(2 if fault.heavy else ROUNDS) as pool:
        found = pool.map(lambda lane: told_wrong(fault, lane, tmp_path), many)

    assert list(found) == [[]] * ROUNDS


@pytest.mark.parametrize("victim", VICTIMS)
def test_after_a_kill_nothing_is_alive(kills: Kills, victim: str) -> None:
    found = [kill.result() for kill in kills[victim]]

    assert [seconds for seconds, _ in found if seconds is None] == []


@pytest.mark.parametrize("victim", TOLD)
def test_a_step_whose_lane_was_killed_is_told_so_with_the_cause(kills: Kills, victim: str) -> None:
    told = [kill.result()[1] for kill in kills[victim]]

    assert [text for text in told if not re.fullmatch(TOLD[victim], text)] == []
