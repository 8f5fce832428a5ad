"""What became of a run in a word and a few numbers."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final, Literal, TypeAlias

from pytest_orchestrator.run.record import UNTOUCHED, RecipeRecord, RunRecord, StepRecord

Word: TypeAlias = Literal["passed", "failed", "interrupted", "running", "damaged", "empty"]

BAD: Final = frozenset({"failed", "error"})
"""States of a step for which its recipe has failed."""

_CUT: Final = frozenset({"interrupted", "running", "locked", "retrying"})
_INTERRUPTED: Final = 2
_NOTHING: Final = 5


def verdict(run: RunRecord) -> Word:
    """Say what became of a run.

    Returns:
        ``damaged`` before all else, since what is damaged says nothing; ``running``;
        ``failed`` where anything did, also of one that was cut off; ``interrupted``;
        ``empty`` where nothing ran; or ``passed``.
    """
    if run.state in ("damaged", "running"):
        return run.state
    bad = any(test.outcome in BAD for test in run.tests.values())
    if bad or run.uncollected or any(step.state in BAD for step in run.steps):
        return "failed"
    status = run.finished.exit_status if run.finished else _INTERRUPTED
    if status in (0, _NOTHING):
        return "empty" if status == _NOTHING else "passed"
    return "interrupted" if status == _INTERRUPTED else "failed"


def verdict_of(recipe: RecipeRecord) -> Word:
    """Say what became of the run of a recipe, of which perhaps not all was selected."""
    steps = recipe.steps.values()
    states = {step.state for step in steps}
    if states & BAD or any(_is_missed(step, recipe) for step in steps):
        return "failed"
    if states & _CUT:
        return "interrupted"
    return "passed" if states & {"passed", "restored", "xfailed", "xpassed"} else "empty"


def _is_missed(step: StepRecord, recipe: RecipeRecord) -> bool:
    """Tell whether a step is blocked by anything but a failure that was expected."""
    if step.state != "blocked":
        return False
    by = (step.block or {}).get("step", {}).get("blocked_by", "")
    other = recipe.steps.get(by.rpartition("::")[2])
    return other is None or other.state != "xfailed"


def counts(steps: Iterable[StepRecord]) -> dict[str, int]:
    """Count steps by their state; those that were not selected are left out."""
    return dict(Counter(step.state for step in steps if step.state not in UNTOUCHED))


def flaky(steps: Iterable[StepRecord]) -> list[StepRecord]:
    """Return the steps that passed, and not at their first try."""
    return [step for step in steps if step.state == "passed" and step.attempt > 1]


def seconds(run: RunRecord) -> float:
    """Return how long a run took, from its first line to its last."""
    if not run.first or not run.last:
        return 0.0
    began, ended = (datetime.fromisoformat(ts) for ts in (run.first, run.last))
    return max((ended - began).total_seconds(), 0.0)
