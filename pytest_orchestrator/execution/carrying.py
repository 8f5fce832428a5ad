"""Steps and criteria on their way to a worker: as much of them as a body needs, as JSON."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.execution.errands import Order, plain, read
from pytest_orchestrator.execution.lanes.messages import packed, unpacked
from pytest_orchestrator.recipe.step_keys import Criterion, Step
from pytest_orchestrator.recipe.step_types import PythonStep, ShellStep

_OF_A_COMMAND: Final = ("name", "cmd", "shell", "args", "stdin", "parse", "skip_exit_code", "cwd")
_OF_EACH: Final = ("timeout", "stop_signal")


def carried(step: Step) -> dict[str, Any]:
    """Return what a body needs of its step, as JSON carries it.

    Args:
        step: A Python step or a shell step.
    """
    if isinstance(step, PythonStep):
        return {"type": "python"} | packed(step) | {"fresh": _fresh(step)}
    told = {name: getattr(step, name) for name in (*_OF_A_COMMAND, *_OF_EACH)}
    codes = [_of_criterion(one) for one in step.success if one.name == "exit_code"]
    at = {key: msgspec.structs.astuple(place) for key, place in step.at.items()}
    return {"type": "shell"} | told | {"at": at, "success": codes, "fresh": _fresh(step)}


def uncarried(told: Mapping[str, Any]) -> tuple[Step, tuple[Criterion, ...]]:
    """Return the step that `carried` was given, as far as a body needs it.

    Returns:
        The step, and its criteria on what it writes afresh.
    """
    rest = dict(told)
    kind, fresh = rest.pop("type"), tuple(map(_criterion, rest.pop("fresh")))
    if kind == "python":
        return unpacked(rest), fresh
    rest["at"] = {key: Place(*place) for key, place in rest["at"].items()}
    rest["success"] = tuple(map(_criterion, rest["success"]))
    for name in ("cmd", "shell", "skip_exit_code"):
        rest[name] = tuple(rest[name]) if isinstance(rest[name], list) else rest[name]
    return ShellStep(**rest), fresh


def order_of(criterion: Criterion) -> Order:
    """Return the order to check a criterion on files."""
    return Order(
        name=criterion.name, wanted=criterion.wanted, place=criterion.place, at=criterion.at
    )


def criterion_of(order: Order) -> Criterion:
    """Return the criterion that an order asks for."""
    return Criterion(order.name or "", order.wanted, order.place, order.at)


def _fresh(step: Step) -> list[Any]:
    return [
        _of_criterion(one)
        for one in step.success
        if one.name == "files" and isinstance(one.wanted, dict) and one.wanted.get("fresh")
    ]


def _of_criterion(criterion: Criterion) -> Any:
    return plain(order_of(criterion))


def _criterion(told: Any) -> Criterion:
    return criterion_of(read(told, Order))
