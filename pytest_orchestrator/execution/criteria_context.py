"""Criteria on the keys of the Context."""

from collections.abc import Iterator

from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.execution.evidence import Evidence, verdict
from pytest_orchestrator.recipe.step_keys import Criterion


def has_key(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """A path leads to something."""
    key, context = str(criterion.wanted), evidence.context
    if key in context:
        yield verdict(criterion)
        return
    keys = context.keys()
    near = nearest(key, keys)
    there = "" if near else f"; it has {_listed(keys)}"
    yield verdict(criterion, f"the context has no key '{key}'{near}{there}")


def lacks_key(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """A path leads to nothing."""
    key, context = str(criterion.wanted), evidence.context
    if key not in context:
        yield verdict(criterion)
        return
    history = context.get_history(key)
    by = f", written by {history[-1]['who']}" if history else ""
    yield verdict(criterion, f"the context has the key '{key}'{by}")


def _listed(names: list[str]) -> str:
    if not names:
        return "none at all"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
