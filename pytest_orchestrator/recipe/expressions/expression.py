"""Expressions and templates: compiled when they are read, evaluated once.

An expression is checked when the recipe is read and evaluated once, when its step runs; what
it gives is a value and never read as an expression, as YAML or as a command again.
"""

import json
import re
from collections.abc import Callable, ItemsView, Iterator, KeysView, Mapping, ValuesView
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pytest_orchestrator.core import json_values
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import budget
from pytest_orchestrator.recipe.problems import shortened

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.expressions.sandbox import Chain

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
else:
    Json = Any

_ABSENT = object()


class LazyValue:
    """A value that is worked out when it is asked for, and once.

    Args:
        value: Works it out.
    """

    __slots__ = ("_found", "_work")

    def __init__(self, value: Callable[[], Any]) -> None:
        self._work = value
        self._found: Any = _ABSENT

    def value(self) -> Any:
        """Return the value; what the work raises is raised each time."""
        if self._found is _ABSENT:
            self._found = self._work()
        return self._found


COLLECTION = 1.0
"""Seconds that the expressions of a recipe may take which collection evaluates."""

within = budget.within
"""Evaluates expressions within some time; see `budget.within`."""

at_collection = partial(budget.within, COLLECTION, is_shared=True)
"""Evaluates those of a matrix, and the vars that it reads."""

OPENING = "${{"
_CLOSING = "}}"
MOST = 1_000
"""Expressions in one text."""

# A text that is not closed goes on to the end; possessive, so that nothing is read twice.
_TOKEN = re.compile(
    r"""(?s)'[^'\\]*+(?:\\.[^'\\]*+)*+(?:'|\\?\Z)|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[][(){}]"""
)
_LEVELS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


class ExpressionError(ValueError):
    """An expression that cannot be read or has no value; its text says why.

    Attributes:
        place: Where it stands in its recipe; None where that is not known yet.
    """

    def __init__(self, reason: str, place: Place | None = None) -> None:
        super().__init__(reason)
        self.place = place


class AbsentError(ExpressionError):
    """An expression that asks for what is not there."""


class TimeoutExpressionError(ExpressionError):
    """An expression whose time is over."""


class Expression(Struct, frozen=True):
    """One expression.

    Attributes:
        text: What stands between the braces.
        place: Where the scalar that it stands in begins.
    """

    text: str
    place: Place

    @property
    def reads(self) -> "tuple[Chain, ...]":
        """All that it looks up."""
        return _reads(self.text)

    def value(self, names: Mapping[str, Any]) -> Json:
        """Evaluate it.

        Args:
            names: What its names mean.

        Raises:
            ExpressionError: It has no value, or one that JSON cannot hold.
        """
        given = self.evaluated(names)
        try:
            return json_values.json_copy(given, f"`{shortened(self.text)}`")
        except json_values.NotJson as error:
            raise ExpressionError(str(error), self.place) from None

    def holds(self, names: Mapping[str, Any]) -> bool:
        """Evaluate it as a condition.

        Raises:
            ExpressionError: It has no value.
        """
        return bool(self.evaluated(names))

    def evaluated(self, names: Mapping[str, Any]) -> Any:
        """Evaluate it to whatever object it gives.

        Raises:
            AbsentError: It asks for what is not there.
            TimeoutExpressionError: Its time is over.
            ExpressionError: It has no value for another reason.
        """
        from jinja2 import UndefinedError

        try:
            budget.begin()
            given = _compiled(self.text)(self._due(names))
            if isinstance(given, budget.LONG):
                budget.deep("value", given)
            given = _plain(given)
        except UndefinedError as error:
            raise AbsentError(self._told(str(error)), self.place) from None
        except budget.TimeUp as error:
            raise TimeoutExpressionError(self._told(str(error)), self.place) from None
        except ExpressionError as error:
            raise ExpressionError(self._told(str(error)), self.place) from None
        except OverflowError as error:
            raise ExpressionError(self._told(f"OverflowError: {error}"), self.place) from None
        except Exception as error:  # noqa: BLE001 - whatever a filter or a fixture raises
            told = self._told(f"{type(error).__name__}: {error}")
            raise ExpressionError(told, self.place) from None
        return given

    def _due(self, names: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return names with the values of those late ones that it reads."""
        late = {one.root: names.get(one.root) for one in self.reads}
        due = {name: one.value() for name, one in late.items() if isinstance(one, LazyValue)}
        return {**names, **due} if due else names

    def _told(self, what: str) -> str:
        return f"`{shortened(self.text)}`: {what}"


class Template(Struct, frozen=True):
    """A text with expressions in it, or one that is nothing but an expression.

    Attributes:
        pieces: Texts and expressions in turn.
        text: The whole of it as it is written.
        place: Where the scalar begins.
        path: Where in the fields of its step it stands; empty where it is no part of one.
    """

    pieces: tuple[str | Expression, ...]
    text: str
    place: Place
    path: tuple[str | int, ...] = ()

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The expressions in it."""
        return tuple(one for one in self.pieces if isinstance(one, Expression))

    @property
    def is_whole(self) -> bool:
        """True where it is nothing but one expression, whose value keeps its type."""
        return len(self.pieces) == 1

    def value(self, names: Mapping[str, Any]) -> Json:
        """Evaluate it: to any JSON where it is whole, else to text.

        Raises:
            ExpressionError: An expression in it has no value.
        """
        if self.is_whole:
            return self.expressions[0].value(names)
        told: list[str] = []
        size = 0
        for one in self.pieces:
            told.append(one if isinstance(one, str) else as_text(one.value(names)))
            size += len(told[-1])
            if size > budget.MOST:
                reason = f"a text of more than {budget.MOST:,} characters"
                raise ExpressionError(reason, self.place)
        return "".join(told)


def as_text(value: Json) -> str:
    """Return a value as it stands within text: JSON, but for text itself."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def template(text: str, place: Place) -> "Template | str":
    """Read a text that has ``${{`` in it.

    Args:
        text: The scalar.
        place: Where it begins.

    Returns:
        The template; plain text where all that looked like one is written as a literal.

    Raises:
        ExpressionError: An expression is not closed, or is none.
    """
    pieces = list(_pieces(text, place))
    if any(isinstance(one, Expression) for one in pieces):
        return Template(tuple(pieces), text, place)
    return "".join(one for one in pieces if isinstance(one, str))


def _pieces(text: str, place: Place) -> Iterator[str | Expression]:
    said: list[str] = []
    at, number = 0, 0
    while (opening := text.find(OPENING, at)) >= 0:
        after = opening + len(OPENING)
        if opening > at and text[opening - 1] == "$":  # `$${{` is a literal
            said.append(text[at : opening - 1] + OPENING)
            at = after
            continue
        said.append(text[at:opening])
        if before := "".join(said):
            yield before
        said, number = [], number + 1
        if number > MOST:
            raise ExpressionError(f"more than {MOST:,} expressions in one text", place)
        end = _end(text, after, place)
        yield Expression(text[after:end].strip(), place)
        at = end + len(_CLOSING)
    said.append(text[at:])
    if rest := "".join(said):
        yield rest


def _end(text: str, begin: int, place: Place) -> int:
    """Return where the ``}}`` of an expression stands: behind its texts and closed brackets.

    Raises:
        ExpressionError: There is none, or what stands before it is no expression.
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
    """Return where the first ``}}`` outside of texts and brackets stands, else the end."""
    depth = 0
    for found in _TOKEN.finditer(text, begin):
        if not depth and text.startswith(_CLOSING, found.start()):
            return found.start()
        depth += _LEVELS.get(found[0], 0)
    return len(text)


def bare(text: str, place: Place) -> Expression:
    """Read a bare expression; the same within ``${{ }}`` is taken too.

    Raises:
        ExpressionError: It is none.
    """
    inner = text.strip()
    if inner.startswith(OPENING):
        found = template(inner, place)
        if isinstance(found, Template) and found.is_whole:
            return found.expressions[0]
        raise ExpressionError("a text with expressions in it, should be one expression", place)
    try:
        _parsed(inner)
    except ValueError as error:
        raise ExpressionError(f"no expression: {error}", place) from None
    return Expression(inner, place)


def absent(hint: str) -> Any:
    """Return what stands for something that is not there: it may be asked for, never used.

    Args:
        hint: Said where it is used.
    """
    from pytest_orchestrator.recipe.expressions.sandbox import LANGUAGE

    return LANGUAGE.undefined(hint=hint)


def item(data: Json, key: object) -> Any:
    """Return what is found in data by a key or an index, or what stands for its absence."""
    from pytest_orchestrator.recipe.expressions.sandbox import LANGUAGE

    return LANGUAGE.getitem(data, key)


def _plain(given: Any) -> Any:
    """Return what Jinja and its filters give as what recipes have: lists, mappings, text.

    Raises:
        UndefinedError: Something in it is not there.
    """
    from jinja2 import Undefined

    kind = type(given)
    if kind in json_values.SCALARS:
        return given
    if isinstance(given, str):
        return str(given)
    if isinstance(given, Undefined):
        given._fail_with_undefined_error()  # noqa: SLF001 - the way to its message
    if isinstance(given, Mapping):
        return {name: _plain(one) for name, one in given.items()}
    if isinstance(given, (list, tuple, range, Iterator, KeysView, ValuesView, ItemsView)):
        return [_plain(one) for one in given]
    return given


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Any:
    from pytest_orchestrator.recipe.expressions import sandbox

    return sandbox.parsed(text)


@lru_cache(maxsize=1 << 15)  # all of a large file, which are asked for twice
def _reads(text: str) -> "tuple[Chain, ...]":
    from pytest_orchestrator.recipe.expressions.sandbox import chains

    return tuple(chains(_parsed(text)))


@lru_cache(maxsize=1024)
def _compiled(text: str) -> Any:
    from pytest_orchestrator.recipe.expressions import sandbox

    return sandbox.compiled(text)
