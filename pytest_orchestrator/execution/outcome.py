"""Outcome of Python code: returned status, exceptions, trimmed tracebacks."""

import itertools
import json
import sys
import threading
import traceback
import types
from pathlib import Path
from typing import Any, Self

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.core.text import clipped, one_line

_OURS = str(Path(__file__).resolve().parents[1]) + "/"
_OUR_NAME = __name__.partition(".")[0]
_RUNNERS = {_OUR_NAME, "pytest", "_pytest", "pluggy", "xdist", "execnet", "importlib"}
"""Packages that call the user's code and have threads of their own."""
_WAITS = threading.__file__  # this package waits in that module when a signal handler raises


def user_frames(error: BaseException) -> BaseException:
    """Remove the traceback frames of this package and of the import system from an exception.

    Args:
        error: The exception; it, its causes and its contexts are changed in place.

    Returns:
        The same exception.
    """
    seen: set[int] = set()
    queue: list[BaseException | None] = [error]
    while queue:
        one = queue.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.__traceback__ = _without_ours(one.__traceback__)
        queue += [one.__cause__, one.__context__]
    return error


def user_stack(frame: types.FrameType | None, *, called: bool = False) -> list[str]:
    """Format a thread's stack from the first frame of user code on, the most recent call last.

    Args:
        frame: The current frame of the thread.
        called: True if this package called the user's code in this thread, so that the frames of
            the callers of this package are left out.

    Returns:
        The lines, without those of this package and of pytest; empty if the thread runs no
        code of the user.
    """
    frames = [(*one, _package_of(one[0])) for one in traceback.walk_stack(frame)][::-1]
    ours = [place for place, (*_, package) in enumerate(frames) if package == _OUR_NAME]
    first = ours[0] if called and ours else 0
    users = itertools.dropwhile(lambda one: _is_runner_or_library(one[2]), frames[first:])
    kept = ((one, line) for one, line, package in users if package not in _RUNNERS)
    return traceback.StackSummary.extract(kept).format()


def _is_runner_or_library(package: str) -> bool:
    """Return True for a package of pytest, its plugins, this plugin or the standard library."""
    return (
        package in _RUNNERS or package in sys.stdlib_module_names or package.startswith("pytest_")
    )


def _package_of(frame: types.FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _without_ours(traceback: types.TracebackType | None) -> types.TracebackType | None:
    kept: list[types.TracebackType] = []
    loading = is_ours = False
    while traceback is not None:
        code = traceback.tb_frame.f_code
        name = code.co_filename
        # The frames of a loader (such as pytest's, which rewrites assertions) end at the module.
        loading = code.co_name == "exec_module" or (loading and code.co_name != "<module>")
        is_importlib = name.startswith("<frozen importlib") or "/importlib/" in name
        is_ours = name.startswith(_OURS) or (is_ours and name == _WAITS)
        if not (loading or is_importlib or is_ours):
            kept.append(traceback)
        traceback = traceback.tb_next
    chain: types.TracebackType | None = None
    for entry in reversed(kept):
        chain = types.TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return chain


_EXAMPLE = '{"status": "ok"}'
_LIKE_OK = ("ok", "pass", "passed", "success", "succeeded", "done", "true")
_REASONS = ("reason", "error", "message")
"""Keys of a result that have the reason of its status, the most important first."""


def failure_of(value: Json, what: str) -> Failure | None:
    """Return the failure that the result of a step reports, or None if it reports none.

    Args:
        value: The result; a mapping.
        what: The origin of the result for the message (``run`` or ``stdout``).

    Returns:
        None for the statuses ``ok``, ``success`` and ``skip``.
    """
    if not isinstance(value, dict):
        return Failure(
            kind="protocol",
            reason=f"{what} is {kind_of(value)}; a mapping with a status is expected, "
            f"such as {_EXAMPLE}",
        )
    status = value.get("status")
    if status in ("ok", "success", "skip"):
        return None
    cause = next((value[key] for key in _REASONS if key in value), None)
    if "status" not in value:
        keys = ", ".join(sorted(value)[:8]) or "none"
        return Failure(
            kind="status",
            reason=f"{what} has no status (its keys: {one_line(keys)}); "
            "ok, success or skip is expected",
        )
    in_json = json.dumps(status, ensure_ascii=False)
    shown = f"status {status!r}" if isinstance(status, str) else f"a status that is {in_json}"
    without = f" is no success: write {_EXAMPLE}" if str(status).lower() in _LIKE_OK else ""
    reason = one_line(f"{shown}: {cause}" if cause else shown + (without or ", no reason given"))
    return Failure(kind="status", reason=reason)


def with_clipped_reason(value: Json) -> Json:
    """Return the result of a step; cut the reason of a failure or skip if it is too long."""
    if not isinstance(value, dict) or value.get("status") in ("ok", "success"):
        return value
    texts = {key: text for key in _REASONS if isinstance(text := value.get(key), str)}
    return value | {key: clipped(text) for key, text in texts.items()} if texts else value


def values_of(result: Json) -> dict[str, Any]:
    """Return the fields of `Ended` with a result: its floats, and its decimals if these differ."""
    exact = json_values.exact_text(result)
    return {"value": json_values.decode(exact) if exact else result, "exact": exact}


def skip_of(value: Json) -> str | None:
    """Return the reason if a result has the status ``skip``, else None."""
    if isinstance(value, dict) and value.get("status") == "skip":
        return one_line(str(value.get("reason") or "the step says skip"))
    return None


def kind_of(value: object) -> str:
    """Return the kind of a Python value, such as ``a list``; "None" for None, not "null"."""
    return "None" if value is None else json_values.kind(value)


class Raised(Exception):
    """Stand-in for an exception that a step raised in another process.

    Attributes:
        report: The report of the exception, in the form that pytest sends between processes.
    """

    def __init__(self, reason: str, report: dict[str, Any]) -> None:
        super().__init__(reason)
        self.report = report

    @property
    def is_expected(self) -> bool:
        """True if the step code itself declared its failure as expected, as by ``pytest.xfail``."""
        return self.report["wasxfail"] is not None

    @classmethod
    def there(cls, reason: str, report: dict[str, Any]) -> Self:
        """Create the stand-in for an exception that a step raised in another process.

        The type of the stand-in has the name of the original type. For a failed assertion it is a
        subclass of AssertionError: other plugins recognise assertions by the type.

        Args:
            reason: The exception as one line: its kind and the first line of its text.
            report: The report of the exception.
        """
        name = report["type"]
        bases = (cls, AssertionError) if report["asserts"] else (cls,)
        kind = type(name, bases, {"__module__": "builtins"})
        raised: Self = kind(reason.removeprefix(f"{name}: "), report)
        return raised
