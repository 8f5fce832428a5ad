"""Verdicts: one word for a recipe or a run, from the states of its steps.

A failed step makes a recipe ``failed``. If nothing failed but a step ran longer than its timeout,
the word is ``timeout``; if nothing failed but a fixture, a collection or pytest itself, ``error``.
A session that was stopped is ``interrupted``: an operator's Ctrl-C is no failed unit.
"""

from collections.abc import Iterable
from typing import Final, Literal, TypeAlias

import msgspec

Word: TypeAlias = Literal[
    "passed",
    "failed",
    "timeout",
    "error",
    "interrupted",
    "running",
    "damaged",
    "skipped",
    "empty",
    "not run",
]

BAD: Final = frozenset({"failed", "error"})
"""States of a step that make its recipe fail."""

WORST_FIRST: Final[tuple[Word, ...]] = (
    "damaged",
    "failed",
    "timeout",
    "error",
    "interrupted",
    "not run",
    "running",
    "passed",
    "skipped",
    "empty",
)
"""All verdicts in the order in which reports list them."""


def word_of(state: str, kind: str) -> str:
    """Return the word that reports show for the state of a step.

    Args:
        state: Its state.
        kind: Kind of its failure; empty without one.

    Returns:
        ``timeout`` for a failed step that ran longer than its timeout, else the state.
    """
    return "timeout" if state == "failed" and kind == "timeout" else state


_RUNNING: Final = frozenset({"running", "locked", "retrying", "asks"})
_EXCUSED: Final = frozenset({"xfailed", "interrupted", "not run"})
_ENDED: Final = frozenset({"passed", "restored", "xfailed", "xpassed"})


class Outcome(msgspec.Struct, frozen=True):
    """State of a step, as far as a verdict needs it.

    Attributes:
        name: Name of the step.
        state: Its state.
        kind: Kind of its failure; empty without one.
        blocked_by: Name of the step that blocks it; empty if none does.
    """

    name: str
    state: str
    kind: str = ""
    blocked_by: str = ""

    @property
    def word(self) -> Word | None:
        """The verdict that the step alone gives its recipe; None if it did not fail."""
        if self.state == "error":
            return "error"
        if self.state != "failed":
            return None
        return "timeout" if self.kind == "timeout" else "failed"


def of_steps(outcomes: Iterable[Outcome]) -> Word:
    """Return the verdict of a recipe.

    A recipe with a blocked step has failed, unless an xfailed, interrupted or not run step blocks
    it.

    Args:
        outcomes: Its steps, without those that were not selected or not reached.
    """
    steps = [*outcomes]
    by_name = {one.name: one for one in steps}
    states = {one.state for one in steps}
    words: set[Word] = {word for one in steps if (word := one.word)}
    for one in steps:
        if one.state == "blocked":
            by = by_name.get(one.blocked_by)
            if by is None or not (by.word or by.state in _EXCUSED):
                words.add("failed")
    if words:
        return worst(words)
    if states == {"not run"}:
        return "not run"
    if states & _RUNNING:
        return "running"
    if states & {"interrupted", "not run"}:
        return "interrupted"
    if states & _ENDED:
        return "passed"
    return "skipped" if states else "empty"


def worst(words: Iterable[Word]) -> Word:
    """Return the verdict of several recipes together: the worst of their verdicts."""
    return min(words, key=WORST_FIRST.index, default="empty")
