"""Masker of a session: finds secrets in all their printed forms and replaces them.

A value is masked in the forms in which programs print it: as it is, in base64, in hexadecimal, in
a URL, in HTML, in JSON, as Python and a shell quote it. Text and values are masked, the keys of
mappings in values among them; names, keys of the Context and of recipes, and paths never.
"""

import base64
import fnmatch
import json
import re
import shlex
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import quote

import msgspec

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.keys import ABSENT, into
from pytest_orchestrator.core.mask_stream import (
    MASK,
    QUOTED,
    MaskStream,
    grouped,
    has_any,
    secret_pattern,
)
from pytest_orchestrator.core.result import StepResult

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


class Observable(Protocol):
    """A Context that reports what is written to it."""

    def observed(self, *, written: Callable[[str, Json], None]) -> None:
        """Call a function with each key and value that is written from now on."""


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
        return re.compile(f"(?:{secret_pattern(self.forms)})+")


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
        """All that is replaced, as bytes, for a `MaskStream`; another one after an `add`."""
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

    def watch(self, context: Observable) -> None:
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

    def stream(self) -> MaskStream | None:
        """Return what masks bytes that come in pieces; None where nothing is secret."""
        return MaskStream(self.forms) if self._values else None

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


_LEAST = 4
"""Characters of a form that is not the value itself: less is found everywhere by chance."""

_LEAST_LINE = 6

_END = 4
"""Characters of the beginning or the end of a form that are not there by chance."""

_LEAST_HEX = 8
"""The same of hexadecimal digits: a number of fewer may be anything."""

_SAFE: Final = ("/", "", "!*'()", "!*()", "!#$&'()*+,/:;=?@")
"""Characters that libraries leave as they are in a URL: Python, JavaScript (a component, a whole
address) and .NET.
"""

_QUOTES: Final = (
    ('"', "'"),
    ("&quot;", "&#x27;"),
    ("&quot;", "&#39;"),
    ("&quot;", "&apos;"),
    ("&quot;", "'"),
    ("&#34;", "&#39;"),
)
"""How writers of HTML and XML have the two quotes: only in attributes they need to be escaped."""

_BLANKS: Final = {code: f"&#{code};" for code in (9, 10, 13)}
"""How XML has what would be a blank in an attribute."""

_ESCAPED: Final = re.compile("%[0-9A-F]{2}")
_CUT = re.compile(r"\n?(?:\.\.\.|…)\n?")


def forms_of(secret: str) -> list[str]:
    """Return all texts that tell a secret.

    Args:
        secret: The value, not blank.

    Returns:
        The value; it and each of its longer lines in base64 (whatever stands before and
        after it there), in hexadecimal, in a URL, in HTML and XML, in JSON, as Python and a
        shell quote it. Without duplicates.
    """
    forms = dict.fromkeys([secret, secret.strip()])
    for text in [*forms, *_lines(secret)]:
        found = dict.fromkeys([text, *_quoted(text), *_in_a_url(text), *_in_markup(text)])
        found |= dict.fromkeys(_in_base64(text))
        forms |= {form: None for form in found if len(form) >= _LEAST}
        forms |= {form: None for form in _in_hex(text) if len(form) >= _LEAST_HEX}
    return list(forms)


def ends_masked(text: str, forms: Iterable[str]) -> str:
    """Mask what is left of a form where a text was cut in the middle of it.

    Args:
        text: What may have been cut, with an ellipsis in the place of what is left out.
        forms: The forms of all secrets.
    """
    long = [form for form in forms if len(form) >= 2 * _END]
    heads = [form for form in long if form[:_END] in text]
    tails = [form for form in long if form[-_END:] in text]
    pieces, at = [], 0
    for cut in _CUT.finditer(text) if heads or tails else ():
        start = min((_head(text, form, cut.start()) for form in heads), default=cut.start())
        end = max((_tail(text, form, cut.end()) for form in tails), default=cut.end())
        if start < cut.start():
            pieces += [text[at : max(at, start)], MASK]
            at = cut.start()
        if end > cut.end():
            pieces += [text[at : cut.end()], MASK]
            at = end
    return "".join([*pieces, text[at:]])


def _head(text: str, form: str, end: int) -> int:
    """Return where the beginning of a form begins that goes on to an end; the end if none does."""
    at = text.find(form[:_END], max(0, end - len(form) + 1), end)
    while at >= 0 and not form.startswith(text[at:end]):
        at = text.find(form[:_END], at + 1, end)
    return end if at < 0 else at


def _tail(text: str, form: str, start: int) -> int:
    """Return where the end of a form ends that comes at a start; the start if none does."""
    at = text.rfind(form[-_END:], start, start + len(form) - 1)
    while at >= 0 and not form.endswith(text[start : at + _END]):
        at = text.rfind(form[-_END:], start, at + _END - 1)
    return start if at < 0 else at + _END


def _lines(secret: str) -> Iterator[str]:
    """Return the lines of a key or a certificate: reports indent them, and show some alone."""
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _LEAST_LINE)


def _quoted(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    for shown in (repr, ascii):
        yield shown(text)[1:-1]
        yield shown(f'"{text}')[2:-1]  # beside a quote, Python escapes the others
    raw = text.encode(errors="surrogateescape")
    yield raw.decode(errors="backslashreplace")
    yield raw.decode("ascii", errors="backslashreplace")
    yield repr(raw)[2:-1]
    yield shlex.quote(text).removeprefix("'").removesuffix("'")


def _in_a_url(text: str) -> Iterator[str]:
    raw = text.encode(errors="surrogateescape")
    for safe in _SAFE:
        upper = quote(raw, safe=safe)
        for form in (upper, upper.replace("%20", "+")):
            yield form
            yield _ESCAPED.sub(lambda found: found[0].lower(), form)


def _in_markup(text: str) -> Iterator[str]:
    opened = text.replace("&", "&amp;").replace("<", "&lt;")
    for found in dict.fromkeys((opened.replace(">", "&gt;"), opened)):  # XML asks for no `&gt;`
        for double, single in _QUOTES:
            form = found.replace('"', double).replace("'", single)
            for each in (form, form.translate(_BLANKS)):
                yield each
                yield each.encode("ascii", "xmlcharrefreplace").decode()


def _in_hex(text: str) -> Iterator[str]:
    form = text.encode(errors="surrogateescape").hex()
    yield form
    yield form.upper()


def _in_base64(text: str) -> Iterator[str]:
    """Return what of a base64 text is the same whatever stands around a value in it."""
    raw = text.encode(errors="surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for before in range(3):
            # Six bits a character: those that only the value's own bits make.
            first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
            yield encode(bytes(before) + raw).decode()[first:last]
