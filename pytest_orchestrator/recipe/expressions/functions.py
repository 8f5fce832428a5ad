"""Filters and methods of expressions, each with a limit on the size of its result."""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial, wraps
from typing import Any, Final

from jinja2 import Environment, UndefinedError
from jinja2.nodes import EvalContext
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedFormatter

from pytest_orchestrator.core.json_values import kind
from pytest_orchestrator.core.text import quoted
from pytest_orchestrator.recipe.expressions.budget import (
    ITEM,
    LONG,
    MOST_BITS,
    charge,
    check,
    check_work,
    counted,
    listed,
    number,
    parts,
    percent,
    total_size,
)

_SLOW: Final = 1 << 17
"""Most characters for filters that are implemented in Python."""

_OBJECT: Final = 64
"""Bytes of a small object."""

_PRECISE: Final = 1_000
"""Most digits for `round`."""

_BREAKS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
_SPACES = " \t\n\r\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2028\u2029\u3000"
_PASSED = (Environment, Context, EvalContext)
_COMPARING = frozenset({"==", "!=", "<", "<=", ">", ">=", "eq", "equalto", "ne", "ge"})
_COMPARING |= {"greaterthan", "gt", "le", "lessthan", "lt", "in"}


class Formatter(SandboxedFormatter):
    """Formatter like ``str.format``, with a size limit for each replacement field."""

    def format_field(self, value: Any, format_spec: str) -> Any:
        """Check the size of one replacement field, and format it."""
        wide = sum(map(number, re.findall(r"\d+", format_spec)))
        charge("format", max(total_size("format", value), wide))
        return super().format_field(value, format_spec)

    def convert_field(self, value: Any, conversion: Any) -> Any:
        """Convert a field to text for ``!r`` or ``!s``."""
        if conversion is not None:
            charge("format", total_size("format", value))
        return super().convert_field(value, conversion)


# Each function below returns the largest size of the result of a filter or method, and has the
# parameters of that filter or method.


def _size(value: object) -> int:
    return len(value) if isinstance(value, str) else total_size("string", value)


def _text(value: object) -> str:
    """Check the size of a value, and convert the value to text."""
    if isinstance(value, str):
        return value
    total_size("string", value)
    return str(value)


def _padded(text: Any, width: Any = 80, *_: Any) -> int:
    return max(_size(text), width if isinstance(width, int) else 0)


def _replaced(text: Any, old: Any, new: Any, count: Any = None) -> int:
    written, sought = _text(text), _text(old)
    matches = written.count(sought)
    if isinstance(count, int) and count >= 0:
        matches = min(matches, count)
    return len(written) + matches * max(0, len(_text(new)) - len(sought))


def _expanded(text: str, tabsize: Any = 8) -> int:
    return len(text) + text.count("\t") * (tabsize if isinstance(tabsize, int) else 0)


def _indented(text: Any, width: Any = 4, *_: Any, **__: Any) -> int:
    written = _text(text)
    wide = len(width) if isinstance(width, str) else width
    lines = 2 + sum(written.count(one) for one in _BREAKS)
    return len(written) + lines * (1 + (wide if isinstance(wide, int) else 0))


def _escaped(text: Any, *_: Any) -> int:
    written = _text(text)
    return len(written) + 4 * sum(written.count(one) for one in "&<>'\"")


def _urlencoded(value: Any) -> int:
    return (3 if isinstance(value, str) and value.isascii() else 12) * _size(value)


def _dumped(value: Any, indent: Any = None) -> int:
    size = total_size("tojson", value)
    wide = len(indent) if isinstance(indent, str) else indent
    return size if not isinstance(wide, int) else size * (4 + _depth(value) * max(0, wide))


def _depth(value: Any) -> int:
    """Return the number of nested levels of a value; the caller must have checked its size."""
    depth, level = 0, {id(value): value}
    while level := {
        id(part): part
        for one in level.values()
        if isinstance(one, LONG)
        for part in parts(one)
        if isinstance(part, LONG)
    }:
        depth += 1
    return depth + 1


def _truncated(text: Any, *rest: Any, **more: Any) -> int:
    return sum(map(_size, (text, *rest, *more.values())))


def _filled(_: Any, linecount: Any, fill_with: Any = None) -> int:
    return 0 if fill_with is None or not isinstance(linecount, int) else max(0, linecount) * ITEM


def _rounded(_: Any, precision: Any = 0, *__: Any, **___: Any) -> int:
    if isinstance(precision, int):
        check_work("round", abs(precision), _PRECISE)
    return 0


def _wrapped(text: Any, *rest: Any, **more: Any) -> int:
    check_work("wordwrap", _size(text), _SLOW)
    between = [len(one) for one in (*rest, *more.values()) if isinstance(one, str)]
    return _size(text) * (1 + max(between, default=1))


def _slow(name: str) -> Callable[..., int]:
    def size(value: Any, *rest: Any, **more: Any) -> int:
        total = sum(total_size(name, one) for one in (value, *rest, *more.values()))
        check_work(name, total, _SLOW)
        return total

    return size


def _compared(name: str) -> Callable[..., int]:
    """Return the size function of a filter that compares the items of a list, such as ``sort``.

    It checks the size of the whole input, and returns the bytes of a list of the same length.
    """

    def size(value: Any, *_: Any, **__: Any) -> int:
        if not isinstance(value, LONG):
            return 0
        total_size(name, value)
        return len(value) * ITEM

    return size


def _printed(name: str) -> Callable[..., int]:
    """Return the size function of a filter that never lengthens its input: the input's size."""
    return lambda value, *_, **__: total_size(name, value)


def _pieces(text: str, sep: Any = None, maxsplit: Any = -1) -> int:
    many = text.count(sep) if isinstance(sep, str) and sep else sum(map(text.count, _SPACES))
    if isinstance(maxsplit, int) and maxsplit >= 0:
        many = min(many, maxsplit)
    charge("split", many + 1, each=_OBJECT, unit="items")
    return len(text)


def _lines(text: str, *_: Any, **__: Any) -> int:
    charge("splitlines", 1 + sum(map(text.count, _BREAKS)), each=_OBJECT, unit="items")
    return len(text)


def _from_the_right(name: str, estimate: Callable[..., int]) -> Callable[..., int]:
    """Add a limit of the work to the size function of a search from the right (``rfind``)."""

    def size(text: str, sep: Any = None, *rest: Any, **more: Any) -> int:
        if isinstance(sep, str):
            check_work(name, len(text) * len(sep))
        return estimate(text, sep, *rest, **more)

    return size


def _stripped(text: Any, chars: Any = None) -> int:
    if isinstance(chars, str):
        check_work("strip", _size(text) * len(chars))
    return _size(text)


def _same(text: str, *_: Any, **__: Any) -> int:
    return len(text)


FILTERS: Mapping[str, Callable[..., int]] = {
    "batch": _filled,
    "capitalize": _printed("capitalize"),
    "center": _padded,
    "dictsort": _compared("dictsort"),
    "e": _escaped,
    "escape": _escaped,
    "forceescape": _escaped,
    "format": lambda text, *given, **named: percent(_text(text), named or given),
    "groupby": _compared("groupby"),
    "indent": _indented,
    "lower": _printed("lower"),
    "max": _compared("max"),
    "min": _compared("min"),
    "pprint": _slow("pprint"),
    "replace": _replaced,
    "reverse": _printed("reverse"),
    "round": _rounded,
    "safe": _printed("safe"),
    "sort": _compared("sort"),
    "string": _printed("string"),
    "striptags": _slow("striptags"),
    "title": _printed("title"),
    "tojson": _dumped,
    "trim": _stripped,
    "truncate": _truncated,
    "unique": _compared("unique"),
    "upper": _printed("upper"),
    "urlencode": _urlencoded,
    "urlize": _slow("urlize"),
    "wordcount": lambda text: _pieces(_text(text)),
    "wordwrap": _wrapped,
    "xmlattr": _slow("xmlattr"),
}
"""Size functions of filters; other filters build nothing, or are replaced below."""


def _joined(call: Callable[..., Any], value: Any, d: Any = "", attribute: Any = None) -> Any:
    items = listed("join", value)
    size = total_size("join", items) if attribute is not None else sum(map(_size, items))
    charge("join", size + len(items) * _size(d))
    return call(items, d, attribute)


def _summed(call: Callable[..., Any], value: Any, attribute: Any = None, start: Any = 0) -> Any:
    if not isinstance(start, list | tuple):
        return call(counted("sum", value), attribute, start)
    kind: Any = type(start)
    items = list(start)
    for one in counted("sum", value):  # `items +=` does not copy all items for each sum
        each = one if attribute is None else call([one], attribute, kind())
        if not isinstance(each, kind):
            raise TypeError(f"`sum` begins with a {kind.__name__} and cannot add another type")
        items += each
    return kind(items)


def _as_list(call: Callable[..., Any], value: Any) -> Any:
    if isinstance(value, str):
        each = ITEM if value.isascii() else _OBJECT + ITEM
        charge("list", len(value), each=each, unit="items")
        return call(value)
    return listed("list", value)


def _number(name: str) -> Callable[..., Any]:
    """Return a filter like `int` or `float` that without a default fails on what is no number.

    Jinja makes 0 of it, and a limit would accept that as a measured value.
    """

    def converted(call: Callable[..., Any], value: Any, *rest: Any, **named: Any) -> Any:
        if isinstance(value, str):
            check_work(name, len(value), MOST_BITS // 4)
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
            raise UndefinedError(f"{shown} is no number that `{name}` can read ({cure})")
        return result

    return converted


REPLACED: Mapping[str, Callable[..., Any]] = {
    "float": _number("float"),
    "int": _number("int"),
    "join": _joined,
    "list": _as_list,
    "sum": _summed,
}
"""Replacements of Jinja filters, which get the filter as an argument."""


def bounded_filter(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a Jinja filter so that the size of its result is limited.

    Args:
        name: The name of the filter.
        call: The filter; its first argument may be a Jinja environment or context.
    """
    replaced, size = REPLACED.get(name), FILTERS.get(name)

    @wraps(call)
    def within(*args: Any, **named: Any) -> Any:
        check()
        passed = isinstance(args[0], _PASSED)
        arguments = args[passed:]
        if replaced is not None:
            return replaced(partial(call, *args[:passed]), *arguments, **named)
        if size is not None:
            charge(name, size(*arguments, **named))
        result = call(*args, **named)
        return counted(name, result) if isinstance(result, Iterator) else result

    return within


def bounded_test(name: str, test: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a Jinja test with a check that limits the size of the compared values."""

    @wraps(test)
    def within(*args: Any, **named: Any) -> Any:
        check()
        for one in args if name in _COMPARING else ():
            total_size(name, one)
        return test(*args, **named)

    return within


TEXT: Mapping[str, Callable[..., int]] = {
    **dict.fromkeys(
        [
            *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha"),
            *("isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric"),
            *("isprintable", "isspace", "istitle", "isupper", "lower", "partition"),
            *("removeprefix", "removesuffix", "startswith", "swapcase", "title", "upper"),
            "unescape",
        ],
        _same,
    ),
    **dict.fromkeys(["center", "ljust", "rjust", "zfill"], _padded),
    **dict.fromkeys(["strip", "lstrip", "rstrip"], _stripped),
    "encode": lambda text, *_, **__: 4 * len(text),
    "expandtabs": _expanded,
    "replace": _replaced,
    "rfind": _from_the_right("rfind", _same),
    "rindex": _from_the_right("rindex", _same),
    "rpartition": _from_the_right("rpartition", _same),
    "rsplit": _from_the_right("rsplit", _pieces),
    "split": _pieces,
    "splitlines": _lines,
}
"""Size functions of the methods of text; ``join`` and ``format`` are replaced."""

METHODS: Mapping[type, frozenset[str]] = {
    bytes: frozenset({"decode", "endswith", "hex", "startswith"}),
    dict: frozenset({"copy", "get", "items", "keys", "values"}),
    float: frozenset({"as_integer_ratio", "hex", "is_integer"}),
    int: frozenset({"as_integer_ratio", "bit_count", "bit_length"}),
    list: frozenset({"copy", "count", "index"}),
    tuple: frozenset({"count", "index"}),
    type: frozenset(),
}
"""Methods of other data that may be called."""

CURES: Mapping[str, str] = {"translate": "`replace`", "to_bytes": "`'%x' % n`"}
"""Methods that may not be called, because the size of their result is unknown, each with a cure."""


def method(environment: Any, data: Any, name: str, bound_method: Any) -> Any:
    """Return a method with a limit on its result; None if expressions may not call the method.

    Args:
        environment: The Jinja environment, which looks up the replacement fields of `str.format`.
        data: The value that has the method.
        name: The name of the method.
        bound_method: The method.
    """
    if not isinstance(data, str):
        allowed = next((METHODS[one] for one in type(data).__mro__ if one in METHODS), frozenset())
        return partial(_called, data, name, bound_method) if name in allowed else None
    if name in ("format", "format_map"):
        return partial(_formatted, environment, data, name)
    if name == "join":
        return lambda items: _joined(lambda listed, *_: bound_method(listed), items, data)
    size = TEXT.get(name)
    return None if size is None else partial(_sized, name, size, data, bound_method)


def _called(
    data: Any, name: str, bound_method: Callable[..., Any], *args: Any, **named: Any
) -> Any:
    total_size(name, data) if isinstance(data, list | tuple) else check()
    return bound_method(*args, **named)


def _sized(
    name: str,
    size: Callable[..., int],
    text: str,
    bound_method: Callable[..., Any],
    *args: Any,
    **named: Any,
) -> Any:
    charge(name, size(text, *args, **named))
    return bound_method(*args, **named)


def _formatted(environment: Any, text: str, name: str, *args: Any, **named: Any) -> str:
    if name == "format_map":
        (fields,) = args
        return _formatted(environment, text, "format", **fields)
    charge("format", len(text))
    return Formatter(environment).vformat(text, args, named)


def is_data(data: object, name: str) -> bool:
    """Return True if a built-in type, and not a class of the user, defines an attribute."""
    owner = next((one for one in type(data).__mro__ if name in vars(one)), object)
    if isinstance(data, type):
        return True
    return owner is not object and owner.__module__ in ("builtins", "markupsafe")
