"""Critical path of a recipe, and steps that ran in parallel."""

from typing import Any

import pytest

from pytest_orchestrator.reports.critical_path import CriticalPath, critical_path, parallel
from pytest_orchestrator.runs.block import Block, plain
from tests.blocks import parsed


def block(
    name: str,
    start: float,
    stop: float,
    needs: tuple[str, ...] = (),
    **step: Any,
) -> Block:
    def moment(seconds: float) -> str:
        return f"2026-11-25T10:00:{seconds:06.3f}Z"

    return parsed(
        {
            "step": {"name": name, "needs": [*needs], **step},
            "time": {"start": moment(start), "stop": moment(stop)},
            "resources": {"seconds": stop - start},
        }
    )


def test_the_critical_path_is_the_longest_chain() -> None:
    blocks = [
        block("flash", 0, 3),
        block("measure", 3, 5, ("flash",)),
        block("burn_in", 5, 15, ("measure",)),
        block("thermal", 5, 14, ("measure",)),
        block("release", 15, 16, ("burn_in", "thermal")),
    ]
    path = critical_path(blocks)
    assert path == CriticalPath(("flash", "measure", "burn_in", "release"), 16.0, 16.0)
    assert parallel(blocks) == {"burn_in", "thermal"}


def test_steps_that_did_not_run_are_not_on_the_critical_path() -> None:
    blocked = parsed({"step": {"name": "c", "needs": ["b"]}})
    assert critical_path([block("b", 0, 2, ("gone",)), blocked]) == CriticalPath(("b",), 2.0, 2.0)
    assert critical_path([blocked]) is None
    assert critical_path([]) is None


def test_after_counts_like_needs_and_finally_steps_follow_all() -> None:
    blocks = [
        block("a", 0, 2),
        block("b", 2, 5, after=["a"]),
        block("off", 5, 6, final=True),
        block("park", 6, 8, final=True),
    ]
    assert critical_path(blocks) == CriticalPath(("a", "b", "off", "park"), 8.0, 8.0)


def test_a_service_counts_until_its_first_use_and_is_never_parallel() -> None:
    blocks = [block("server", 0, 59, background=True), block("poll", 1.5, 9.5, ("server",))]
    assert critical_path(blocks) == CriticalPath(("server", "poll"), 9.5, 59.0)
    assert parallel(blocks) == frozenset()


def test_all_attempts_of_a_step_count() -> None:
    retried = block("b", 4, 6)
    first = {"start": "2026-11-25T10:00:00.000Z", "seconds": 3.0}
    assert critical_path([parsed(plain(retried) | {"attempts": [first]})]) == CriticalPath(
        ("b",), 5.0, 6.0
    )


@pytest.mark.parametrize(("start", "expected"), [(1.998, set()), (1.9, {"a", "b"})])
def test_small_clock_differences_do_not_make_steps_parallel(
    start: float, expected: set[str]
) -> None:
    assert parallel([block("a", 0, 2), block("b", start, 3)]) == expected
