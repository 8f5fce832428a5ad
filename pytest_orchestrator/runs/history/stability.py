"""Stability of a step over runs: its pass rate, and whether it is flaky.

A step is *flaky* if the same step gave both results for the same unit under test, or needed more
than one attempt:

- it passed and failed in turn, with at least two changes between passed and failed, in runs with
  equal digests of the step (its keys with their values, and its files) and with equal units under
  test; or
- it passed in one of the runs only after another attempt, by ``retry`` or by a plugin that reruns
  tests.

One change alone is no flakiness: a step that passed and now fails has a cause to look for, and so
has one that was mended.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from msgspec import Struct

from pytest_orchestrator.runs.history.model import PastStep

PASSED: Final = frozenset({"passed", "xpassed"})
FAILED: Final = frozenset({"failed", "error"})
_FLIPS: Final = 2


class Stability(Struct, frozen=True):
    """Stability of a step.

    Attributes:
        passed: Number of runs in which it passed.
        ran: Number of runs in which it passed or failed; others do not count.
        is_flaky: True if it is flaky.
    """

    passed: int
    ran: int
    is_flaky: bool


def stability(runs: Iterable[tuple[str, PastStep]]) -> Stability:
    """Return the stability of a step.

    Args:
        runs: The step in each run, with the unit under test, in the order of the runs.
    """
    results: dict[tuple[str, str], list[bool]] = {}
    passed = ran = 0
    was_repeated = False
    for dut, step in runs:
        has_passed = step.state in PASSED
        if not has_passed and step.state not in FAILED:
            continue
        ran += 1
        passed += has_passed
        was_repeated |= has_passed and step.was_repeated
        if step.digest:
            results.setdefault((dut, step.digest), []).append(has_passed)
    flips = (sum(a != b for a, b in pairwise(one)) for one in results.values())
    return Stability(passed, ran, was_repeated or any(one >= _FLIPS for one in flips))
