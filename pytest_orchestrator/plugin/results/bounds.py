"""Size limit for the texts of failures: exceptions, assertions, reasons and log records.

Each report would repeat a message of 100 MB, of which only the beginning and the end are useful.
So each text is cut in the middle, to about a megabyte, right after pytest has made its explanation.
For a step with a process of its own this happens in that process. For an inline step, pytest's
own process holds the whole text until the cut.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from pytest_orchestrator.core.text import MAX_TEXT, clipped

_LINE_OVERHEAD: Final = 64
"""Characters that each line counts in addition to its text: a million empty lines are large too."""
_MIN_SHARE: Final = 4_000
"""Smallest share of one long text, in characters; shorter texts are never cut."""

T = TypeVar("T")


def bounded(value: T, max_chars: int = MAX_TEXT) -> T:
    """Cut long texts in the middle, so that all texts of a value have a bounded size.

    If several texts are long, as in a chain of exceptions, each gets an equal share.

    Args:
        value: Plain data, or an explanation of pytest, which is changed in place.
        max_chars: Maximum characters of all texts together.

    Returns:
        The value itself if its texts are short enough, else the value with shortened texts.
    """
    sizes = [*_sizes(value)]
    if sum(sizes) <= max_chars:
        return value
    share = max_chars // max(1, sum(size > _MIN_SHARE for size in sizes))
    cut: T = _replaced(value, lambda part: _shortened(part, max(share, _MIN_SHARE)))
    return cut


def _sizes(value: Any) -> Iterator[int]:
    """Yield the sizes of the texts in a value; the lines of one list are one text."""
    if isinstance(value, str):
        yield len(value)
    elif _is_lines(value):
        yield sum(len(line) + _LINE_OVERHEAD for line in value)
    else:
        for part in _parts(value):
            yield from _sizes(part)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()
    elif _is_of_pytest(value):
        yield from vars(value).values()


def _replaced(value: Any, shortened: Callable[[Any], Any]) -> Any:
    if isinstance(value, str) or _is_lines(value):
        return shortened(value)
    if type(value) in (list, tuple):
        return type(value)(_replaced(part, shortened) for part in value)
    if isinstance(value, dict):
        return {name: _replaced(part, shortened) for name, part in value.items()}
    if _is_of_pytest(value):
        for name, part in vars(value).items():
            object.__setattr__(value, name, _replaced(part, shortened))
    return value


def _shortened(part: Any, max_chars: int) -> Any:
    """Return a text or a list of lines, cut in the middle to about `max_chars` characters."""
    if isinstance(part, str):
        return clipped(part, max_chars)
    if sum(len(line) + _LINE_OVERHEAD for line in part) <= max_chars:
        return part
    lines = [clipped(line, max_chars // 3) for line in part]
    first = _count(lines, max_chars // 2)
    last = min(_count(reversed(lines), max_chars // 2), len(lines) - first)
    left = len(lines) - first - last
    note = [f"… {left:,} lines are left out here …"] if left else []
    return [*lines[:first], *note, *lines[len(lines) - last :]]


def _count(lines: Any, max_chars: int) -> int:
    """Return the number of leading lines that fit into `max_chars` characters."""
    number = 0
    for line in lines:
        max_chars -= len(line) + _LINE_OVERHEAD
        if max_chars < 0:
            break
        number += 1
    return number


def _is_lines(value: Any) -> bool:
    return type(value) is list and bool(value) and all(type(part) is str for part in value)


def _is_of_pytest(value: Any) -> bool:
    return type(value).__module__.startswith("_pytest.")
