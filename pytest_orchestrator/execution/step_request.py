"""What a lane for Python steps is asked, and how a step gets there and back."""

import signal
from typing import Any

import msgspec

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.recipe.model import Brought, PythonStep

_OF_A_BODY = ("name", "module", "class_", "function", "params", "heap", "timeout", "background")


class StepRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A Python step to run, as its lane takes it."""

    step: dict[str, Any]
    recipe: str
    root: str
    env: dict[str, str]
    cwd: str
    sys_path: list[str]
    log_level: int
    timeout: float | None
    grace: float = 2.0
    stdout_log: str | None = None
    stderr_log: str | None = None
    samples: str | None = None
    max_log: int = 100 * 1000 * 1000
    secrets: tuple[bytes, ...] = ()
    handed: int = 2
    end_signal: int = int(signal.SIGTERM)


def packed(step: PythonStep) -> dict[str, Any]:
    """Return what a body needs of its step, as frames carry it; all else stays on this side."""
    told = {name: getattr(step, name) for name in _OF_A_BODY}
    told["at"] = {key: msgspec.structs.astuple(place) for key, place in step.at.items()}
    told["brought"] = step.brought and msgspec.structs.asdict(step.brought)
    return told


def unpacked(told: dict[str, Any]) -> PythonStep:
    """Return the step of a body."""
    at = {key: Place(*place) for key, place in told["at"].items()}
    brought = told["brought"] and Brought(**told["brought"])
    return PythonStep(**told | {"at": at, "brought": brought})
