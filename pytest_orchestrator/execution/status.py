"""What the object that a step hands back says: its status, and why."""

from pytest_orchestrator.core import cures
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.execution.printable import one_line

_EXAMPLE = '{"status": "ok"}'


def failure_of(value: Json, what: str) -> Failure | None:
    """Return the failure that a step's object tells, or None where it is content.

    Args:
        value: The object; a mapping.
        what: Where the object comes from, for the message (``run`` or ``stdout``).

    Returns:
        None for the statuses ``ok``, ``success`` and ``skip``.
    """
    if not isinstance(value, dict):
        return Failure(
            kind="protocol",
            reason=f"{what} is {kind_of(value)}; a mapping with a status is wanted, "
            f"such as {_EXAMPLE}",
        )
    status = value.get("status")
    if status in ("ok", "success", "skip"):
        return None
    told = value.get("reason", value.get("error", value.get("message")))
    if "status" not in value:
        keys = ", ".join(sorted(value)[:8]) or "none"
        return Failure(
            kind="status",
            reason=f"{what} has no status (its keys: {one_line(keys)}); "
            "ok, success or skip is wanted",
        )
    said = f"status {status!r}" if isinstance(status, str) else f"a status that is {status!r}"
    reason = one_line(f"{said}: {told}" if told else f"{said}, no reason given")
    return Failure(kind="status", reason=reason)


def skip_of(value: Json) -> str | None:
    """Return the reason of a step that skipped itself, or None."""
    if isinstance(value, dict) and value.get("status") == "skip":
        return one_line(str(value.get("reason") or "the step says skip"))
    return None


def kind_of(value: object) -> str:
    """Name the kind of a value in the words of a person."""
    names = {list: "a list", str: "text", bool: "true or false", dict: "a mapping"}
    names |= {int: "a number", float: "a number", type(None): "None"}
    return names.get(type(value)) or cures.a(type(value).__name__)
