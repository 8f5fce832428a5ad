"""Expressions and templates: checked at load, evaluated once when their step runs.

The value of an expression is never interpreted again: not as an expression, not as YAML and not
as a command.
"""

import json
import os
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.figures.exact import LongDecimal
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.expressions import bounds
from pytest_orchestrator.recipe.problems import shortened

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.expressions.names import Chain

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
else:
    Json = Any

_ABSENT = object()


class LazyValue:
    """A value that is computed on first use and cached.

    Args:
        value: Function that computes the value.
    """

    __slots__ = ("_compute", "_value")

    def __init__(self, value: Callable[[], Any]) -> None:
        self._compute = value
        self._value: Any = _ABSENT

    def value(self) -> Any:
        """Return the value; after an exception, the next call computes the value again."""
        if self._value is _ABSENT:
            self._value = self._compute()
        return self._value


time_limit = bounds.time_limit
"""Limits the time of expressions; see `bounds.time_limit`."""

collecting = bounds.collecting
"""Evaluates expressions under the limits of a collection; see `bounds.collecting`."""

OPENING = "${{"
_CLOSING = "}}"
MOST = 1_000
"""Most expressions in one text."""

# A text without a closing quote extends to the end. Possessive quantifiers prevent backtracking.
_TOKEN = lazy_pattern(
    r"""(?s)'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\\?\Z)|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[][(){}]"""
)
_LEVELS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


class ExpressionError(ValueError):
    """Error of an expression that cannot be parsed or has no value; the message says why.

    Attributes:
        place: Its place in the recipe; None if the place is not known yet.
    """

    def __init__(self, reason: str, place: Place | None = None) -> None:
        super().__init__(reason)
        self.place = place


class AbsentError(ExpressionError):
    """Error of an expression that uses a missing value."""


class TimeoutExpressionError(ExpressionError):
    """Error of an expression that exceeded its time limit."""


class Expression(Struct, frozen=True):
    """One expression of a recipe, such as ``vars.gain * 2``.

    Attributes:
        text: The expression without ``${{`` and ``}}``.
        place: The first character of the scalar that contains the expression.
    """

    text: str
    place: Place

    @property
    def reads(self) -> "tuple[Chain, ...]":
        """The lookups of names in the expression, such as ``vars.gain``."""
        return _reads(self.text)

    @property
    def whole_chain(self) -> "Chain | None":
        """The lookup that is the complete expression; None if the expression is more."""
        from pytest_orchestrator.recipe.expressions import sandbox

        return sandbox.whole_chain(_parsed(self.text))

    def value(self, names: Mapping[str, Any], *, exact: bool = False) -> Json:
        """Evaluate the expression.

        Args:
            names: The values of the names that the expression may use.
            exact: True for a number that is compared: a `LongDecimal` becomes no float.

        Raises:
            ExpressionError: It has no value, or a value that JSON cannot store.
        """
        value = self.evaluate_raw(names)
        return value if exact and type(value) is LongDecimal else self._json(value)

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Evaluate the expression, and return the truth of its value.

        Raises:
            ExpressionError: It has no value.
        """
        return bool(self.evaluate_raw(names))

    def evaluate_raw(self, names: Mapping[str, Any]) -> Any:
        """Evaluate the expression; the result may be an object that JSON cannot store.

        Raises:
            AbsentError: It uses a missing value.
            TimeoutExpressionError: It exceeded its time limit.
            ExpressionError: It has no value for another reason.
        """
        if not bounds.is_collecting():
            return self._evaluated(names, bounds.Room())
        room = bounds.Room(outer=_room())
        if _is_plain(self.text) or not hasattr(os, "fork"):  # `validate` on Windows has no limits
            return self._evaluated(names, room)
        return self._in_fork(names, room)

    def in_this_process(self, names: Mapping[str, Any]) -> Json:
        """Evaluate the expression without the limits of a collection; see `value`."""
        return self._json(self._evaluated(names, bounds.Room()))

    def _evaluated(self, names: Mapping[str, Any], room: bounds.Room) -> Any:
        from jinja2 import UndefinedError

        try:
            bounds.check()
            known = self._with_lazy_values(names)
            with bounds.guarded():
                return _plain(_compiled(self.text)(known), room)
        except UndefinedError as error:
            raise AbsentError(self._message(str(error)), self.place) from None
        except bounds.TimeUp as error:
            raise TimeoutExpressionError(self._message(str(error)), self.place) from None
        except ExpressionError as error:
            raise ExpressionError(self._message(str(error)), self.place) from None
        except MemoryError:
            raise ExpressionError(self._message("it needs too much memory"), self.place) from None
        except Exception as error:  # noqa: BLE001 - a filter or a fixture may raise anything
            reason = self._message(f"{type(error).__name__}: {error}")
            raise ExpressionError(reason, self.place) from None

    def _in_fork(self, names: Mapping[str, Any], room: bounds.Room) -> Any:
        read = {one.root: names[one.root] for one in self.reads if one.root in names}
        try:
            kind, reply = _collection().evaluate(self.text, read)
            if not kind:
                return _plain(reply, room)
        except bounds.TimeUp as error:
            raise TimeoutExpressionError(self._message(str(error)), self.place) from None
        except OverflowError as error:
            raise ExpressionError(self._message(str(error)), self.place) from None
        raise (AbsentError if kind == AbsentError.__name__ else ExpressionError)(reply, self.place)

    def _json(self, value: Any) -> Json:
        try:
            return json_values.json_copy(value, f"`{shortened(self.text)}`")
        except json_values.NotJson as error:
            raise ExpressionError(str(error), self.place) from None

    def _with_lazy_values(self, names: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the names with the value of each `LazyValue` that the expression reads."""
        late = {one.root: names.get(one.root) for one in self.reads}
        due = {name: one.value() for name, one in late.items() if isinstance(one, LazyValue)}
        return {**names, **due} if due else names

    def _message(self, what: str) -> str:
        return f"`{shortened(self.text)}`: {what}"


class Template(Struct, frozen=True):
    """A text that contains expressions, or a single expression.

    Attributes:
        pieces: The literal texts and the expressions, in the order of the text.
        text: The complete text as it is written.
        place: The first character of the scalar.
        path: Position in the fields of its step; empty if it is no part of a step.
    """

    pieces: tuple[str | Expression, ...]
    text: str
    place: Place
    path: tuple[str | int, ...] = ()

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in the text, in their order."""
        return tuple(one for one in self.pieces if isinstance(one, Expression))

    @property
    def is_whole(self) -> bool:
        """True if the text is one expression and nothing else; its value keeps its type."""
        return len(self.pieces) == 1

    def value(self, names: Mapping[str, Any], *, exact: bool = False) -> Json:
        """Return the value of a single expression, or the text with the values of all expressions.

        Args:
            names: The values of the names that the expressions may use.
            exact: As for an expression.

        Raises:
            ExpressionError: An expression has no value.
        """
        if self.is_whole:
            return self.expressions[0].value(names, exact=exact)
        texts: list[str] = []
        size = 0
        for one in self.pieces:
            texts.append(one if isinstance(one, str) else as_text(one.value(names)))
            size += len(texts[-1])
            if size > bounds.MOST:
                reason = f"a text of more than {bounds.MOST:,} characters"
                raise ExpressionError(reason, self.place)
        return "".join(texts)


def as_text(value: Json) -> str:
    """Convert a value to text: text stays as it is, other values become JSON."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def template(text: str, place: Place) -> "Template | str":
    """Parse a text that contains ``${{``.

    Args:
        text: The scalar.
        place: Its first character.

    Returns:
        The template; plain text if every ``${{`` in it is escaped as ``$${{``.

    Raises:
        ExpressionError: An expression is not closed or not valid.
    """
    pieces = list(_pieces(text, place))
    if any(isinstance(one, Expression) for one in pieces):
        return Template(tuple(pieces), text, place)
    return "".join(one for one in pieces if isinstance(one, str))


def _pieces(text: str, place: Place) -> Iterator[str | Expression]:
    text_parts: list[str] = []
    at, number = 0, 0
    while (opening := text.find(OPENING, at)) >= 0:
        after = opening + len(OPENING)
        if opening > at and text[opening - 1] == "$":  # `$${{` is a literal
            text_parts.append(text[at : opening - 1] + OPENING)
            at = after
            continue
        text_parts.append(text[at:opening])
        if before := "".join(text_parts):
            yield before
        text_parts, number = [], number + 1
        if number > MOST:
            raise ExpressionError(f"more than {MOST:,} expressions in one text", place)
        end = _end(text, after, place)
        yield Expression(text[after:end].strip(), place)
        at = end + len(_CLOSING)
    text_parts.append(text[at:])
    if rest := "".join(text_parts):
        yield rest


def _end(text: str, begin: int, place: Place) -> int:
    """Return the position of the ``}}`` that closes an expression, not one in quotes or brackets.

    Raises:
        ExpressionError: No ``}}`` exists, or the text before it is no expression.
    """
    first = text.find(_CLOSING, begin)
    if first < 0:
        raise ExpressionError("an expression that is not closed by }}", place)
    reason = ""
    for end in (_balanced(text, begin), first):
        try:
            _parsed(text[begin:end].strip())
        except ValueError as error:
            reason = str(error)
        else:
            return end
    raise ExpressionError(f"no expression: {reason}", place)


def _balanced(text: str, begin: int) -> int:
    """Return the position of the first ``}}`` outside of quotes and brackets, or the end."""
    depth = 0
    for match in _TOKEN.finditer(text, begin):
        if not depth and text.startswith(_CLOSING, match.start()):
            return match.start()
        depth += _LEVELS.get(match[0], 0)
    return len(text)


def bare(text: str, place: Place) -> Expression:
    """Parse an expression without ``${{ }}``; one inside ``${{ }}`` is accepted too.

    Raises:
        ExpressionError: The text is no expression.
    """
    inner = text.strip()
    if inner.startswith(OPENING):
        parsed = template(inner, place)
        if isinstance(parsed, Template) and parsed.is_whole:
            return parsed.expressions[0]
        raise ExpressionError("a text with expressions in it, should be one expression", place)
    try:
        _parsed(inner)
    except ValueError as error:
        raise ExpressionError(f"no expression: {error}", place) from None
    return Expression(inner, place)


def absent(hint: str) -> Any:
    """Return a placeholder for a missing value: it may be tested, but every use is an error.

    Args:
        hint: The message of the error.
    """
    from pytest_orchestrator.recipe.expressions.sandbox import LANGUAGE

    return LANGUAGE.undefined(hint=hint)


def item(data: Json, key: object) -> Any:
    """Return the item of JSON data at a key or index, or a placeholder if the item is missing."""
    from pytest_orchestrator.recipe.expressions.sandbox import LANGUAGE

    return LANGUAGE.getitem(data, key)


def _plain(value: Any, room: bounds.Room) -> Any:
    """Convert a value of Jinja and its filters to the types of recipes: lists, mappings, text.

    Raises:
        UndefinedError: A part of it is missing.
        OverflowError: It is larger than the room for it.
    """
    from jinja2 import Undefined

    room.take(len(value) if isinstance(value, str) else 1)
    kind = type(value)
    if kind in json_values.SCALARS:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()  # noqa: SLF001 - only this method has the message
    if isinstance(value, Mapping):
        return {name: _plain(one, room) for name, one in value.items()}
    if isinstance(value, (list, tuple, range, Iterator, KeysView, ValuesView, ItemsView)):
        return [_plain(one, room) for one in value]
    return value


@lru_cache(maxsize=1)
def _collection() -> bounds.CollectionProcess:
    """Return the process that evaluates the expressions of this collection."""
    return bounds.CollectionProcess(_reply)


@lru_cache(maxsize=1)
def _room() -> bounds.Room:
    """Return the room for all values of this collection."""
    return bounds.Room(bounds.MOST_COLLECTED, "all values at collection have")


def end_collection() -> None:
    """End the process for the expressions of a collection; the next one has new limits."""
    _room.cache_clear()
    if _collection.cache_info().currsize:
        _collection().end()
        _collection.cache_clear()


def _reply(text: str, names: dict[str, Any]) -> tuple[str, Any]:
    """Evaluate an expression in the process for those of a collection."""
    try:
        return "", Expression(text, Place(1, 1)).in_this_process(names)
    except ExpressionError as error:
        return type(error).__name__, str(error)


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    from pytest_orchestrator.recipe.expressions import sandbox

    return sandbox.parsed(text)


@lru_cache(maxsize=4096)
def _is_plain(text: str) -> bool:
    from pytest_orchestrator.recipe.expressions import sandbox

    return sandbox.is_plain(_parsed(text))


@lru_cache(maxsize=1 << 15)  # all expressions of a large file, each used twice
def _reads(text: str) -> "tuple[Chain, ...]":
    from pytest_orchestrator.recipe.expressions.sandbox import chains

    return tuple(chains(_parsed(text)))


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Any:
    from pytest_orchestrator.recipe.expressions import sandbox

    return sandbox.compiled(text)
