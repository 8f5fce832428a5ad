"""Context of a recorded run at any moment."""

from typing import Any

import msgspec

from pytest_orchestrator.core import keys
from pytest_orchestrator.core.errors import ContextKeyError, OrchestratorError
from pytest_orchestrator.core.json_values import deep_copy
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.runs.changes import Changes, RecordedChange
from pytest_orchestrator.runs.record import RunRecord, StepRecord


class NoStep(OrchestratorError):
    """Error: the requested step is missing in the run, never started, or has an ambiguous name."""

    slug = "no-step"


class PastContext:
    """Read-only Context of a recorded run.

    Args:
        changes: All changes of the Contexts of the run.
        scope: Key of the recipe that the Context belongs to; empty for the Context of the session.
        before: Number of a journal line, to show the Context just before that line; None for the
            end of the run.
    """

    def __init__(self, changes: Changes, scope: str = "", before: int | None = None) -> None:
        self._changes, self._scope, self._before = changes, scope, before
        self._values = changes.values(scope, before)

    def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key or path, as `Context.get` does."""
        value = keys.find_path(self._values, key)
        return default if value is keys.ABSENT else deep_copy(value)

    def __getitem__(self, key: str) -> Any:
        value = self.get(key, keys.ABSENT)
        if value is keys.ABSENT:
            raise ContextKeyError(f"no key '{key}' in the context{nearest(key, self._values)}")
        return value

    def __contains__(self, key: str) -> bool:
        return keys.find_path(self._values, key) is not keys.ABSENT

    def keys(self) -> list[str]:
        """Return all keys."""
        return list(self._values)

    def to_dict(self) -> dict[str, Any]:
        """Return all values by key."""
        return {key: deep_copy(value) for key, value in self._values.items()}

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first.

        Returns:
            The entries of `Context.get_history`, with ``by``, the node id of the step that made
            the change, and ``line``, its line in the journal, if they are known.
        """
        history = self._changes.history(key, self._scope)
        return [_plain(one) for one in history if self._before is None or one.n < self._before]

    def last_modified(self, key: str) -> str | None:
        """Return the time of the last change of a key in ISO 8601 UTC; None if it never existed."""
        history = self.get_history(key)
        return history[-1]["ts"] if history else None


def _plain(one: RecordedChange) -> dict[str, Any]:
    row = msgspec.structs.asdict(one)
    line = row.pop("n")
    del row["key"]
    row = {name: value for name, value in row.items() if value or name in ("old", "new", "index")}
    if row["index"] is None:
        del row["index"]
    return row | ({"line": line} if line else {})


def step_of(run: RunRecord, name: str) -> StepRecord:
    """Return a step of a run.

    Args:
        run: The run.
        name: Its name if that is unique in the run, its node id, or ``recipe::step``.

    Raises:
        NoStep: No step has that name, or several do.
    """
    steps = run.steps
    names = {name for step in steps for name in _names(step)}
    matches = [step for step in steps if name in _names(step)]
    if not matches:
        raise NoStep(f"run {run.id} has no step '{name}'{nearest(name, names)}")
    if len(matches) > 1:
        several = " or ".join(f"{step.recipe}::{step.name}" for step in matches[:3])
        raise NoStep(f"several steps are called '{name}': say {several}")
    return matches[0]


def _names(step: StepRecord) -> tuple[str, ...]:
    node = step.about.get("node") or (step.block and step.block.step.node) or ""
    return (step.name, f"{step.recipe}::{step.name}", node)


def at_step(run: RunRecord, name: str, *, after: bool = False) -> PastContext:
    """Return the Context just before or just after a step.

    Args:
        run: The run.
        name: The step, as `step_of` accepts it.
        after: True for the Context after the step, False for the one before it.

    Returns:
        The Context of the recipe if it has its own, else the Context of the session.

    Raises:
        NoStep: The run has no such step, or the step never started.
    """
    step = step_of(run, name)
    first, last = step.lines
    if step.started is None and step.state != "restored":
        raise NoStep(f"step '{name}' did not run in run {run.id}: it was {step.state}")
    scope = step.recipe if step.recipe in run.changes.scopes else ""
    if not after:
        return PastContext(run.changes, scope, first)
    return PastContext(run.changes, scope, last + 1 if step.finished else None)
