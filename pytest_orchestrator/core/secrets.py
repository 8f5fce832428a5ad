"""Masker of a session: finds secrets in all their printed forms and replaces them.

A value is masked in the forms in which programs print it: unchanged, in base64, in hexadecimal,
in a URL, in HTML, in JSON, and as Python and a shell quote it. Texts and values are masked,
including the keys of mappings in values. Names, keys of the Context and of recipes, and paths
are never masked.
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
from pytest_orchestrator.core.keys import ABSENT, value_at
from pytest_orchestrator.core.mask_stream import (
    MASK,
    QUOTED,
    MaskStream,
    grouped,
    has_any,
    secret_pattern,
)
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.core.text import lazy_pattern

T = TypeVar("T")

_QUOTED = lazy_pattern(QUOTED)

NAMES = ("*TOKEN*", "*SECRET*", "*PASSW*", "*API_KEY*", "*PRIVATE_KEY*", "*CREDENTIAL*")
"""Patterns for names of environment variables whose values are secret; case is ignored."""

_MAGIC = frozenset("*?[")
"""Characters of a pattern for names that do not stand for themselves."""

LEAST = 6
"""Minimum length of a value that is secret only because of the name of its variable."""

_KEPT = {
    "blocked_by",
    "cwd",
    "exception",
    "id",
    "key",
    "kind",
    "line",
    "log",
    "masked",
    "missed",
    "name",
    "op",
}
_KEPT |= {"outcome", "place", "step", "ts", "usage"}
_KEPT |= {"attempt", "exit_code", "number", "size", "started", "waited"}
"""Fields of results that are never masked: ids, keys, paths and figures."""

_OF_THE_USER = {"equals", "measured", "new", "old", "value"}
"""Fields of results with values of a step: the keys of mappings in them are masked as well."""


class Observable(Protocol):
    """Interface of a Context that reports each written value."""

    def set_callbacks(self, *, written: Callable[[str, Json], None]) -> None:
        """Set the function that is called with each key and value written from now on."""


class _SearchForms:
    """The forms of all secrets, prepared for searching.

    Attributes:
        forms: The forms to find in texts, the longest first.
        data: The same forms as bytes.
        numbers: The secrets that are numbers, as text.
    """

    def __init__(self, values: Mapping[str, list[str]]) -> None:
        unique = dict.fromkeys(form for forms in values.values() for form in forms)
        self.forms = tuple(sorted(unique, key=len, reverse=True))
        self.groups = grouped(self.forms, _QUOTED, "")
        self.data = tuple(form.encode(errors="surrogateescape") for form in self.forms)
        self.numbers = frozenset(value for value in values if _is_number(value))

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Regular expression that matches any form; compiled at the first use, as that is slow."""
        return re.compile(f"(?:{secret_pattern(self.forms)})+")


class Masker:
    """Replaces the secrets of a session by ``***``.

    Thread-safe. Without any secret it changes nothing.

    Args:
        names: Patterns for names of environment variables whose values are secret.

    Attributes:
        names: The patterns from the argument `names`.
    """

    def __init__(self, names: Sequence[str] = NAMES) -> None:
        self.names = tuple(names)
        self._lock = threading.Lock()
        words = [name for name in names if name[:1] == name[-1:] == "*"]
        words = [name for name in words if _MAGIC.isdisjoint(name[1:-1])]
        self._words = tuple(name[1:-1].casefold() for name in words)
        globs = [fnmatch.translate(name) for name in names if name not in words]
        self._globs = re.compile("|".join(globs), re.IGNORECASE) if globs else None
        self._plain: set[str] = set()
        self._declared: set[str] = set()
        self._keys: dict[str, None] = {}
        self._values: dict[str, list[str]] = {}
        self._search_forms: _SearchForms | None = None
        self._on_new: Callable[[list[str]], object] = lambda _: None

    def __bool__(self) -> bool:
        """Return True if the masker has at least one secret."""
        return bool(self._values)

    @property
    def values(self) -> tuple[str, ...]:
        """All secrets as text, to be added to another masker."""
        return tuple(self._values)

    @property
    def forms(self) -> tuple[bytes, ...]:
        """All forms as bytes, for a `MaskStream`; a new tuple after each `add`."""
        return self._forms().data if self._values else ()

    def is_secret(self, name: str) -> bool:
        """Return True if an environment variable of this name has a secret value."""
        folded = name.casefold()
        return (
            name in self._declared
            or any(word in folded for word in self._words)
            or (self._globs is not None and self._globs.match(name) is not None)
        )

    def declare(self, secrets: Iterable[str], values: Mapping[str, Json] | None = None) -> None:
        """Register the secrets that a recipe declares.

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

    def add_environment(self, variables: Mapping[str, str]) -> None:
        """Add values of environment variables whose name matches `names` or was declared secret."""
        if self._plain.issuperset(variables):
            return
        for name in variables.keys() - self._plain:
            if self.is_secret(name):
                value = variables[name]
                if len(value) >= LEAST or name in self._declared:
                    self.add(value)
            else:
                self._plain.add(name)

    def add_vars(self, paths: Iterable[str], values: Mapping[str, Json]) -> None:
        """Add values of vars that are secret because of the variables that they are handed over in.

        Args:
            paths: Paths such as ``vars.login.token``; one that leads to nothing is ignored.
            values: The vars, by name.
        """
        for path in paths:
            value = value_at(dict(values), path.split(".")[1:])
            if value is not ABSENT:
                for text in _texts(value):
                    if len(text) >= LEAST:
                        self.add(text)

    def watch(self, context: Observable) -> None:
        """Add every value that is written to a declared key of a Context or of its layers.

        Args:
            context: A Context that has no layers yet.
        """
        context.set_callbacks(written=self._written)

    def _written(self, key: str, value: Json) -> None:
        for secret in tuple(self._keys):
            if f"{key}.".startswith(f"{secret}."):
                self.add(value)
            elif secret.startswith(f"{key}."):
                inside = value_at(value, secret.removeprefix(f"{key}.").split("."))
                if inside is not ABSENT:
                    self.add(inside)

    def add(self, value: Json) -> None:
        """Add all texts and numbers of a value as secrets; blank text is ignored."""
        with self._lock:
            new = [text for text in _texts(value) if text not in self._values]
            if new:
                self._values |= {text: forms_of(text) for text in new}
                self._search_forms = None
        if new:
            self._on_new(new)

    def share(self, on_new: "Callable[[list[str]], object]") -> None:
        """Call a function with all secrets now, and with new secrets whenever they are added."""
        self._on_new = on_new
        if self._values:
            on_new([*self._values])

    def text(self, text: str) -> str:
        """Return a text with its secrets masked."""
        if not self._values:
            return text
        search = self._forms()
        # Searching the forms one by one is cheaper than the expression, and usually none is found.
        if has_any(text, search.groups):
            text = search.pattern.sub(MASK, text)
        if "..." in text or "…" in text:
            text = mask_ends(text, search.forms)
        return text

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return first and last index of each secret in a text."""
        if not self._values or not has_any(text, self._forms().groups):
            return []
        return [found.span() for found in self._forms().pattern.finditer(text)]

    def data(self, data: bytes) -> bytes:
        """Return bytes with the secrets in them masked."""
        stream = self.stream()
        return data if stream is None else stream.feed(data) + stream.end()

    def stream(self) -> MaskStream | None:
        """Return a masker for bytes that arrive in chunks; None if no secret exists."""
        return MaskStream(self.forms) if self._values else None

    def mask(self, value: T) -> T:
        """Return a value with the secrets in its texts and the secret numbers masked.

        Args:
            value: JSON, or a `StepResult` or another Struct of a result.

        Returns:
            The value itself if no secret exists, else a copy. `Change.masked` is True if a
            value of the change was masked.
        """
        return self._of(value) if self._values else value

    def mask_json(self, value: T) -> T:
        """Return a value of a step or a test with its secrets masked, also in the keys of mappings.

        Args:
            value: JSON.
        """
        return self._of(value, keys=True) if self._values else value

    def mask_writer(self, who: str, node: str = "") -> str:
        """Return the name of a writer, masked unless its node id shows the name anyway.

        Args:
            who: The name that the writer calls itself.
            node: The node id or name of the step or test that writes; empty for other writers.
        """
        return who if node.rpartition("::")[2] == who else self.text(who)

    def _of(self, value: Any, *, keys: bool = False) -> Any:
        kind = type(value)
        if kind is str:
            return self.text(value)
        if kind in (int, float):
            return MASK if json.dumps(value) in self._forms().numbers else value
        if kind is bytes:
            return self.data(value)
        if kind in (list, tuple):
            return kind([self._of(item, keys=keys) for item in value])
        if kind is dict:
            if keys:
                return self._of_mapping(value)
            return {key: self._of(item) for key, item in value.items()}
        if isinstance(value, msgspec.Struct):
            return self._of_struct(value)
        return value

    def _of_mapping(self, value: dict[Any, Any]) -> dict[Any, Any]:
        """Return a mapping with masked keys and values; keys that become equal are numbered."""
        masked: dict[Any, Any] = {}
        for key, item in value.items():
            masked_key = name = self.text(key) if type(key) is str else key
            number = 1
            while name in masked or (name is not key and name in value):
                number += 1
                name = f"{masked_key} ({number})"
            masked[name] = self._of(item, keys=True)
        return masked

    def _of_struct(self, value: msgspec.Struct, step: str = "") -> msgspec.Struct:
        names = [name for name in value.__struct_fields__ if name not in _KEPT]
        if isinstance(value, StepResult):
            names = [name for name in names if name not in ("changes", "inputs")]
        fields = {name: self._of(getattr(value, name), keys=name in _OF_THE_USER) for name in names}
        if isinstance(value, StepResult):
            fields["changes"] = tuple(self._of_struct(item, value.step) for item in value.changes)
            fields["inputs"] = {name: self.mask_json(item) for name, item in value.inputs.items()}
        elif isinstance(value, Change):
            fields["who"] = self.mask_writer(value.who, step)
            if (fields["old"], fields["new"]) != (value.old, value.new):
                fields["masked"] = True
        return msgspec.structs.replace(value, **fields)

    def _forms(self) -> _SearchForms:
        search_forms = self._search_forms
        if search_forms is None:
            with self._lock:
                search_forms = self._search_forms = _SearchForms(self._values)
        return search_forms


def _texts(value: Json) -> Iterator[str]:
    """Yield all non-blank texts in a value except keys, and its numbers as text."""
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield json.dumps(value)


def _is_number(text: str) -> bool:
    try:
        return bool(float(text)) or True
    except ValueError:
        return False


_LEAST = 4
"""Minimum length of a derived form: a shorter one occurs everywhere by chance."""

_LEAST_LINE = 6
"""Minimum length of a line of a secret: shorter ones, as `},` in a JSON key, are common."""

_END = 4
"""Minimum length of a beginning or an end of a form that does not occur by chance."""

_LEAST_HEX = 8
"""Minimum length of a hexadecimal form: fewer digits may be any number."""

_SAFE: Final = ("/", "", "!*'()", "!*()", "!#$&'()*+,/:;=?@")
"""Characters that libraries do not escape in a URL: Python (`quote`, `quote_plus`), .NET, and
JavaScript (`encodeURIComponent`, `encodeURI`).
"""

_QUOTES: Final = (
    ('"', "'"),
    ("&quot;", "&#x27;"),
    ("&quot;", "&#39;"),
    ("&quot;", "&apos;"),
    ("&quot;", "'"),
    ("&#34;", "&#39;"),
)
"""Escapes of the double and the single quote in HTML and XML; only attributes need them."""

_BLANKS: Final = {code: f"&#{code};" for code in (9, 10, 13)}
"""Escapes of tab and line breaks in XML attributes, where they would become spaces."""

_ESCAPED: Final = lazy_pattern("%[0-9A-F]{2}")
_CUT = lazy_pattern(r"\n?(?:\.\.\.|…)\n?")


def forms_of(secret: str) -> list[str]:
    """Return all forms in which a program may print a secret.

    Args:
        secret: The value, not blank.

    Returns:
        The value, as it is and stripped. If it has several lines, also each line of at least
        `_LEAST_LINE` characters. Each of these also in base64 (alone or as part of a longer
        encoded text), in hexadecimal, in a URL, in HTML and XML, in JSON, and as Python and a
        shell quote it. Derived forms that are too short, and duplicates, are left out.
    """
    forms = dict.fromkeys([secret, secret.strip()])
    for text in [*forms, *_lines(secret)]:
        derived = dict.fromkeys([text, *_quoted(text), *_in_a_url(text), *_in_markup(text)])
        derived |= dict.fromkeys(_in_base64(text))
        forms |= {form: None for form in derived if len(form) >= _LEAST}
        forms |= {form: None for form in _in_hex(text) if len(form) >= _LEAST_HEX}
    return list(forms)


def mask_ends(text: str, forms: Iterable[str]) -> str:
    """Mask the parts of secrets that stand next to an ellipsis of a text; return the text.

    Args:
        text: A text that may have been cut, with an ellipsis in place of the missing part.
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
    """Return the index of the beginning of a form that reaches up to `end`; `end` if none does."""
    at = text.find(form[:_END], max(0, end - len(form) + 1), end)
    while at >= 0 and not form.startswith(text[at:end]):
        at = text.find(form[:_END], at + 1, end)
    return end if at < 0 else at


def _tail(text: str, form: str, start: int) -> int:
    """Return the index after the end of a form that begins before `start`; `start` if none does."""
    at = text.rfind(form[-_END:], start, start + len(form) - 1)
    while at >= 0 and not form.endswith(text[start : at + _END]):
        at = text.rfind(form[-_END:], start, at + _END - 1)
    return start if at < 0 else at + _END


def _lines(secret: str) -> Iterator[str]:
    """Yield the longer lines of a multi-line secret, as programs may print only some of them."""
    lines = [line.strip() for line in secret.splitlines()]
    if len(lines) > 1:
        yield from (line for line in lines if len(line) >= _LEAST_LINE)


def _quoted(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        yield json.dumps(text, ensure_ascii=ascii_only)[1:-1]
    for shown in (repr, ascii):
        yield shown(text)[1:-1]
        yield shown(f'"{text}')[2:-1]  # with a double quote in it, Python escapes single quotes
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
            if "%" in form:
                yield _ESCAPED.sub(lambda match: match[0].lower(), form)


def _in_markup(text: str) -> Iterator[str]:
    half_escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    # XML does not require `&gt;`.
    for escaped in dict.fromkeys((half_escaped.replace(">", "&gt;"), half_escaped)):
        for double, single in _QUOTES:
            quoted = escaped.replace('"', double).replace("'", single)
            for form in (quoted, quoted.translate(_BLANKS)):
                yield form
                yield form.encode("ascii", "xmlcharrefreplace").decode()


def _in_hex(text: str) -> Iterator[str]:
    form = text.encode(errors="surrogateescape").hex()
    yield form
    yield form.upper()


def _in_base64(text: str) -> Iterator[str]:
    """Yield the base64 characters that a text has within any longer text that is encoded."""
    raw = text.encode(errors="surrogateescape")
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(raw).decode().rstrip("=")
        for before in range(3):
            # A base64 character holds six bits: take those whose bits all belong to the value.
            first, last = -(-8 * before // 6), 8 * (before + len(raw)) // 6
            yield encode(bytes(before) + raw).decode()[first:last]
