"""Filters of expressions: their deadline, and those that read a number."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any

from jinja2 import UndefinedError

from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.core.text import quoted
from pytest_orchestrator.recipe.expressions.bounds import check


def within_deadline(call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a filter or test of Jinja: the deadline is checked before it and between its items."""

    @wraps(call)
    def within(*args: Any, **named: Any) -> Any:
        check()
        result = call(*args, **named)
        return _checked(result) if isinstance(result, Iterator) else result

    return within


def _checked(items: Iterator[Any]) -> Iterator[Any]:
    for one in items:
        check()
        yield one


def number(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a filter like `int` or `float` that without a default fails on what is no number.

    Jinja makes 0 of it, and a limit would accept that as a measured value.
    """

    @wraps(call)
    def converted(value: Any, *rest: Any, **named: Any) -> Any:
        if rest or "default" in named:
            return call(value, *rest, **named)
        try:
            result = call(value, default=None, **named)
        except OverflowError:
            result = None
        if result is None or result != result:  # noqa: PLR0124 - NaN
            shown = quoted(value) if isinstance(value, str) else kind(value)
            shown = str(value) if isinstance(value, float) else shown  # infinity and NaN
            cure = f"`{name}(0)` gives 0 instead"
            words = value.split() if isinstance(value, str) else []
            if len(words) == 2 and call(words[0], default=None) is not None:  # such as 12.05 V
                cure = f"`.split()[0] | {name}` reads its first word"
            raise UndefinedError(f"{shown} is no number that `{name}` can read ({cure})")
        return result

    return converted
