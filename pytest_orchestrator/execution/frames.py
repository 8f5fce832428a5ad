"""Tracebacks as their author wants them: the frames of the user's code alone."""

import itertools
import sys
import threading
import traceback
import types
from pathlib import Path

_OURS = str(Path(__file__).resolve().parents[1]) + "/"
_OUR_NAME = __name__.partition(".")[0]
_RUNNERS = {_OUR_NAME, "pytest", "_pytest", "pluggy", "xdist", "execnet", "importlib"}
"""Packages that lead to the user's code, and run in threads of their own."""
_WAITS = threading.__file__  # in which this package waits when a signal's handler raises


def users(error: BaseException) -> BaseException:
    """Take the frames of this package, its waits, and the import system out of an exception.

    Args:
        error: What was caught; it and the exceptions it came from are changed in place.

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


def stack(frame: types.FrameType | None, *, called: bool = False) -> list[str]:
    """Return the lines of a stack from the user's first frame on, the most recent call last.

    Args:
        frame: Where the thread is.
        called: This package has called what runs there: all before that is not the user's.

    Returns:
        The lines, without those of this package and of pytest; none where nothing of the
        user's runs in the thread.
    """
    frames = [(*one, _package_of(one[0])) for one in traceback.walk_stack(frame)][::-1]
    ours = [place for place, (*_, package) in enumerate(frames) if package == _OUR_NAME]
    first = ours[0] if called and ours else 0
    users = itertools.dropwhile(lambda one: _is_nobodys(one[2]), frames[first:])
    kept = ((one, line) for one, line, package in users if package not in _RUNNERS)
    return traceback.StackSummary.extract(kept).format()


def _is_nobodys(package: str) -> bool:
    """Tell whether a stack may begin in a package that is not the user's: plugins have threads."""
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
        # From a loader's own frames (pytest's rewrites assertions) to the module's first.
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
