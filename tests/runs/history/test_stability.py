"""Stability of a step: its pass rate, and the definition of a flaky step."""

from __future__ import annotations

import pytest

from pytest_orchestrator.runs.history.model import PastStep
from pytest_orchestrator.runs.history.stability import Stability, stability

_STATES = {
    "P": "passed",
    "F": "failed",
    "E": "error",
    "B": "blocked",
    "S": "skipped",
    "X": "xfailed",
}


def steps(states: str, duts: str = "", digests: str = "") -> list[tuple[str, PastStep]]:
    """Return a step in a run for each letter: its state, its unit and its digest."""
    duts, digests = duts or "a" * len(states), digests or "1" * len(states)
    return [
        (dut, PastStep(name="s", state=_STATES[state], attempts=1, digest=digest.strip()))
        for state, dut, digest in zip(states, duts, digests, strict=True)
    ]


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ("", Stability(0, 0, is_flaky=False)),
        ("PPPP", Stability(4, 4, is_flaky=False)),
        ("PPFF", Stability(2, 4, is_flaky=False)),
        ("FFPP", Stability(2, 4, is_flaky=False)),
        ("PFP", Stability(2, 3, is_flaky=True)),
        ("FPE", Stability(1, 3, is_flaky=True)),
        ("PBFSBP", Stability(2, 3, is_flaky=True)),
        ("PXXP", Stability(2, 2, is_flaky=False)),
    ],
)
def test_a_step_is_flaky_if_it_passes_and_fails_in_turn(states: str, expected: Stability) -> None:
    assert stability(steps(states)) == expected


def test_a_step_that_was_changed_or_has_another_unit_is_another_step() -> None:
    assert not stability(steps("PFP", digests="121")).is_flaky
    assert not stability(steps("PFP", duts="aba")).is_flaky
    assert stability(steps("PFFP", duts="abaa")).is_flaky
    assert not stability(steps("PFP", digests="   ")).is_flaky


def test_a_step_that_passed_at_another_attempt_is_flaky() -> None:
    passed = PastStep(name="s", state="passed", attempts=2)
    rerun = PastStep(name="s", state="passed", attempts=1, reruns=1)
    failed = PastStep(name="s", state="failed", attempts=3)

    assert [stability([("", one)]).is_flaky for one in (passed, rerun, failed)] == [
        True,
        True,
        False,
    ]
