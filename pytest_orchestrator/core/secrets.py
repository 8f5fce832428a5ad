"""The one masker: what is secret in a session, and text, bytes and values without it.

A value is masked in the forms in which programs print it: as it is, in base64, in hexadecimal, in
a URL, in HTML, in JSON, as Python and a shell quote it. Text and values are masked, the keys of
mappings in values among them; names, keys of the Context and of recipes, and paths never.
"""

import fnmatch
import json
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from pytest_orchestrator.core.history import Change
from pytest_orchestrator.core.paths import ABSENT, into
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.core.secret_forms import ends_masked, forms_of
from pytest_orchestrator.core.secret_stream import (
    MASK,
    QUOTED,
    SecretStream,
    expression,
    grouped,
    has_any,
)
from pytest_orchestrator.core.values import Json

if TYPE_CHECKING:
    from pytest_orchestrator.core.context import Context

T = TypeVar("T")

_QUOTED = re.compile(QUOTED)

NAMES = ("*TOKEN*", "*SECRET*", "*PASSW*", "*API_KEY*", "*PRIVATE_KEY*", "*CREDENTIAL*")
"""Names of environment variables whose values are secret, whatever their case."""

LEAST = 6
"""Characters from which on a value is secret by its name alone."""

_KEPT = {
    "blocked_by",
    "cwd",
    "exception",
    "id",
    "key",
    "kind",
    "log",
    "masked",
    "missed",
    "name",
    "op",
}
_KEPT |= {"outcome", "place", "step", "ts", "usage"}
_KEPT |= {"attempt", "exit_code", "number", "size", "started", "waited"}
"""Fields of results that are ids, keys, paths and figures."""

_OF_THE_USER = {"equals", "measured", "new", "old", "value"}
"""Fields of results that hold what a step has made: keys of mappings in it are text of the user."""


class _Known:
    """All secrets, ready to be looked for.

    Attributes:
        forms: What is looked for in texts, the longest first.
        data: The same, in bytes.
        numbers: What is looked for among numbers.
    """

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        found = dict.fromkeys(form for forms in values.values() for form in forms)
        self.forms = tuple(sorted(found, key=len, reverse=True))
        self.groups = grouped(self.forms, _QUOTED, "")
        self.data = tuple(form.encode(errors="surrogateescape") for form in self.forms)
        self.numbers = frozenset(value for value in values if _is_number(value))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """The same forms as one expression, which is dear to make."""
        return re.compile(f"(?:{expression(self.forms)})+")


class Masker:
    """Knows the secrets of a session and replaces them by ``***``.

    May be used by several threads; where no secret is known it does nothing.

    Args:
        names: Patterns of names of environment variables whose values are secret.

    Attributes:
        names: The same.
    """

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        self.names = tuple(names)
        self._lock = threading.Lock()
        self._secret = re.compile("|".join(map(fnmatch.translate, names)) or r"(?!)", re.IGNORECASE)
        self._plain: set[str] = set()
        self._declared: set[str] = set()
        self._keys: dict[str, None] = {}
        self._values: dict[str, list[str]] = {}
        self._known: _Known | None = None
        self._tell: Callable[[list[str]], object] = lambda _: None

    def __bool__(self) -> bool:
        """True where anything is secret."""
        return bool(self._values)

    @property
    def values(self) -> tuple[str, ...]:
        """All that is secret, for another masker."""
        return tuple(self._values)

    @property
    def forms(self) -> tuple[bytes, ...]:
        """All that is replaced, as bytes, for a `SecretStream`; another one after an `add`."""
        return self._all().data if self._values else ()

    def declare(self, secrets: Iterable[str], values: Mapping[str, Json] | None = None) -> None:
        """Take note of what a recipe calls secret.

        Args:
            secrets: ``env.NAME``, ``vars.NAME`` and ``ctx.KEY``.
            values: The vars of the recipe.
        """
        for secret in secrets:
            kind, _, name = secret.partition(".")
            if kind == "env":
                self._plain.discard(name)
                self._declared.add(name)
            elif kind == "ctx":
                self._keys[name] = None
            elif values is not None and name in values:
                self.add(values[name])

    def learn(self, variables: Mapping[str, str]) -> None:
        """Take the values of those environment variables whose names say secret."""
        if self._plain.issuperset(variables):
            return
        for name in variables.keys() - self._plain:
            if name in self._declared or self._secret.match(name):
                value = variables[name]
                if len(value) >= LEAST or name in self._declared:
                    self.add(value)
            else:
                self._plain.add(name)

    def watch(self, context: "Context") -> None:
        """Take what is written to declared keys of a Context from now on, and of its layers.

        Args:
            context: One that has no layers yet.
        """
        context.observed(written=self._written)

    def _written(self, key: str, value: Json) -> None:
        for secret in tuple(self._keys):
            if f"{key}.".startswith(f"{secret}."):
                self.add(value)
            elif secret.startswith(f"{key}."):
                inside = into(value, secret.removeprefix(f"{key}.").split("."))
                if inside is not ABSENT:
                    self.add(inside)

    def add(self, value: Json) -> None:
        """Make a value secret, or all texts and numbers in it; blank text is not."""
        with self._lock:
            fresh = [text for text in _texts(value) if text not in self._values]
            if fresh:
                self._values |= {text: forms_of(text) for text in fresh}
                self._known = None
        if fresh:
            self._tell(fresh)

    def share(self, tell: "Callable[[list[str]], object]") -> None:
        """Let another masker know all secrets, and each that is learnt from now on."""
        self._tell = tell
        if self._values:
            tell([*self._values])

    def text(self, text: str) -> str:
        """Mask a text; without a secret in it, it is the same one."""
        if not self._values:
            return text
        known = self._all()
        # To look for each is cheaper than the expression, and mostly there is none.
        if has_any(text, known.groups):
            text = known.pattern.sub(MASK, text)
        if "..." in text or "…" in text:
            text = ends_masked(text, known.forms)
        return text

    def data(self, data: bytes) -> bytes:
        """Mask bytes."""
        stream = self.stream()
        return data if stream is None else stream.feed(data) + stream.end()

    def stream(self) -> SecretStream | None:
        """Return what masks bytes that come in pieces; None where nothing is secret."""
        return SecretStream(self.forms) if self._values else None

    def of(self, value: T) -> T:
        """Mask a value: the texts in it, and numbers that are secret.

        Args:
            value: JSON, or a result with all that belongs to it.

        Returns:
            The value itself where nothing is secret, else a copy. A `Change` of which
            something was replaced says so.
        """
        return self._of(value) if self._values else value

    def value(self, value: T) -> T:
        """Mask a value that a step or a test has made: the keys of mappings in it as well.

        Args:
            value: JSON.
        """
        return self._of(value, keys=True) if self._values else value

    def who(self, who: str, node: str = "") -> str:
        """Mask the name of a writer; that of a step stays, as in its node id.

        Args:
            who: As it calls itself.
            node: The node id, or the name, of the step or test that writes; empty for another.
        """
        return who if node.rpartition("::")[2] == who else self.text(who)

    def _of(self, value: Any, *, keys: bool = False) -> Any:
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind in (int, float):
            return MASK if json.dumps(value) in self._all().numbers else value
        if kind is bytes:
            return self.data(value)
        if kind in (list, tuple):
            return kind([self._of(one, keys=keys) for one in value])
        if kind is dict:
            if keys:
                return self._of_mapping(value)
            return {key: self._of(one) for key, one in value.items()}
        if isinstance(value, msgspec.Struct):
            return self._of_struct(value)
        return value

    def _of_mapping(self, value: dict[Any, Any]) -> dict[Any, Any]:
        """Mask a mapping of the user; keys that become the same one are numbered."""
        masked: dict[Any, Any] = {}
        for key, one in value.items():
            shown = name = self.text(key) if type(key) is str else key
            number = 1
            while name in masked or (name is not key and name in value):
                number += 1
                name = f"{shown} ({number})"
            masked[name] = self._of(one, keys=True)
        return masked

    def _of_struct(self, value: msgspec.Struct, step: str = "") -> msgspec.Struct:
        names = [name for name in value.__struct_fields__ if name not in _KEPT]
        if isinstance(value, StepResult):
            names = [name for name in names if name not in ("changes", "given")]
        fields = {name: self._of(getattr(value, name), keys=name in _OF_THE_USER) for name in names}
        if isinstance(value, StepResult):
            fields["changes"] = tuple(self._of_struct(one, value.step) for one in value.changes)
            fields["given"] = {name: self.value(one) for name, one in value.given.items()}
        elif isinstance(value, Change):
            fields["who"] = self.who(value.who, step)
            if (fields["old"], fields["new"]) != (value.old, value.new):
                fields["masked"] = True
        return msgspec.structs.replace(value, **fields)

    def _all(self) -> _Known:
        known = self._known
        if known is None:
            with self._lock:
                known = self._known = _Known(self._values)
        return known


def _texts(value: Json) -> Iterator[str]:
    """Return what of a value is to be looked for."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif value is not None and not isinstance(value, bool):
        yield json.dumps(value)


def _is_number(text: str) -> bool:
    try:
        return bool(float(text)) or True
    except ValueError:
        return False
