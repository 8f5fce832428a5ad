"""Context of a recorded run at any moment."""

from typing import Any

import msgspec

from pytest_orchestrator.core import keys
from pytest_orchestrator.core.errors import ContextKeyError, OrchestratorError
from pytest_orchestrator.core.json_values import unshared
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.runs.record import Changes, Recorded, RunRecord, StepRecord


class NoStep(OrchestratorError):
    """A run does not have the step that is asked for, or it did not run."""

    slug = "no-step"


class PastContext:
    """Reads what a Context had; what was is not changed any more.

    Args:
        changes: What happened to it.
        scope: Key of the recipe whose own Context it is; empty is that of the session.
        before: Number of a line of the journal: as it stood before that; None is the end.
    """

    def __init__(self, changes: Changes, scope: str = "", before: int | None = None) -> None:
        self._changes, self._scope, self._before = changes, scope, before
        self._values = changes.values(scope, before)

    def get(self, key: str, default: Any = None) -> Any:
        """Read the value of a key or path, as `Context.get` does."""
        value = keys.find_path(self._values, key)
        return default if value is keys.ABSENT else unshared(value)

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
        return {key: unshared(value) for key, value in self._values.items()}

    def get_history(self, key: str) -> list[dict[str, Any]]:
        """Return every change of a key, oldest first.

        Returns:
            What `Context.get_history` has, and where they are known ``by``, the node id of the
            step that made it, and ``line``, where it stands in the journal.
        """
        found = self._changes.history(key, self._scope)
        return [_plain(one) for one in found if self._before is None or one.n < self._before]

    def last_modified(self, key: str) -> str | None:
        """Return when a key was changed last, in ISO 8601 UTC."""
        history = self.get_history(key)
        return history[-1]["ts"] if history else None


def _plain(one: Recorded) -> dict[str, Any]:
    told = msgspec.structs.asdict(one)
    line = told.pop("n")
    del told["key"]
    told = {name: value for name, value in told.items() if value or name in ("old", "new", "index")}
    if told["index"] is None:
        del told["index"]
    return told | ({"line": line} if line else {})


def step_of(run: RunRecord, name: str) -> StepRecord:
    """Return a step of a run.

    Args:
        run: The run.
        name: Its name where that is unique, its node id, or ``recipe::step``.

    Raises:
        NoStep: There is none, or there are several.
    """
    steps = run.steps
    known = {name for step in steps for name in _names(step)}
    found = [step for step in steps if name in _names(step)]
    if not found:
        raise NoStep(f"run {run.id} has no step '{name}'{nearest(name, known)}")
    if len(found) > 1:
        several = " or ".join(f"{step.recipe}::{step.name}" for step in found[:3])
        raise NoStep(f"several steps are called '{name}': say {several}")
    return found[0]


def _names(step: StepRecord) -> tuple[str, ...]:
    node = step.about.get("node") or (step.block or {}).get("step", {}).get("node", "")
    return (step.name, f"{step.recipe}::{step.name}", node)


def at_step(run: RunRecord, name: str, *, after: bool = False) -> PastContext:
    """Return the Context that a step had.

    Args:
        run: The run.
        name: The step, as `step_of` takes it.
        after: As the step left it; else as the step found it.

    Returns:
        The own Context of its recipe where that has one, else that of the session.

    Raises:
        NoStep: There is no such step, or it never began.
    """
    step = step_of(run, name)
    first, last = step.lines
    if step.started is None and step.state != "restored":
        raise NoStep(f"step '{name}' did not run in run {run.id}: it was {step.state}")
    scope = step.recipe if step.recipe in run.changes.scopes else ""
    if not after:
        return PastContext(run.changes, scope, first)
    return PastContext(run.changes, scope, last + 1 if step.finished else None)
