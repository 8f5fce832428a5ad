"""Source text of a recipe without its secrets, for excerpts in messages.

A recipe with errors is not loaded, so the masker of the session does not know its secrets. Its
text is read line by line instead, which works for invalid YAML as well: a value is secret if its
key, or a key around it, has a secret name.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from msgspec import Struct

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.mask_stream import MASK
from pytest_orchestrator.core.secrets import LEAST, Masker
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.core.typed_fields import InputField

_SECRET = lazy_pattern(
    r"token|secret|passw|credential|session|signature|cookie|(api|private)[-_]?key|authorization"
    r"|^auth$",
    re.IGNORECASE,
)
_HARMLESS = frozenset({"outputs", "measurements", "secrets"})
"""Keys whose values name secrets and do not contain them."""
_OF_FIELDS = frozenset(InputField.__struct_fields__) - {"default"}
_PLAIN = frozenset({"", "true", "false", "null", "~"})

_KEY = lazy_pattern(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#{}\[\],"'|>][^#{}\[\],"']*?)\s*:(?:\s+|$)"""
)
_ITEM = lazy_pattern(r"-\s+")
_COMMENT = lazy_pattern(r"\s+(?:#.*)?$")
_QUOTED = lazy_pattern(r""""(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?""")
_IN_FLOW = lazy_pattern(r"(?:\$\{\{.*?\}\}|:(?!\s|$|[,}\]])|[^,:{}\[\]])+")
_COLON = lazy_pattern(r"\s*:(?=\s|$|[,}\]])|(?<=[\"'])\s*:")
_EXPRESSION = lazy_pattern(r"(?:\w+\s+)?\$\{\{.*\}\}")
_USER_INFO = lazy_pattern(r"(?<=://)[^\s/@\"'?#]+(?=@)")
_ASSIGNED = lazy_pattern(r"""(?:^|[?&\s"'])([\w.\-]+)=("[^"]*"|'[^']*'|[^\s&"'#,}\]]+)""")

Span = tuple[int, int]


class MaskedSource(Struct, frozen=True):
    """Text of a file in which the secrets are masked.

    Attributes:
        text: The masked text, with the lines of the original.
        spans: For each line, first and last column of each part that was masked, from 0.
        masker: Masks the secrets of the file in messages about it.
    """

    text: str
    spans: tuple[tuple[Span, ...], ...]
    masker: Masker

    def place(self, place: Place) -> Place:
        """Return the position in the masked text of a position in the original."""
        spans = self.spans[place.line - 1] if place.line <= len(self.spans) else ()
        start = _moved(place.column - 1, spans, is_end=False)
        end = _moved(place.column - 1 + place.length, spans, is_end=True)
        return Place(place.line, start + 1, max(1, end - start))

    def message(self, text: str) -> str:
        """Return a text without the secrets of the file, and without those in addresses."""
        return self.masker.text(_without(text, _in_addresses(text)))


def masked_source(text: str, secrets: Sequence[Json] = ()) -> MaskedSource:
    """Return a text of a recipe with its secrets masked.

    Args:
        text: The text, which may be invalid YAML.
        secrets: Further secret values that may stand in it.
    """
    masker = Masker()
    masker.add([*secrets])
    return _masked_source(text, masker.values)


@lru_cache(maxsize=16)
def _masked_source(text: str, secrets: tuple[str, ...]) -> MaskedSource:
    lines = text.splitlines()
    masker, reader = Masker(), _Reader()
    masker.add([value for value in secrets if len(value) >= LEAST])
    found = [[*reader.spans(line), *_in_addresses(line)] for line in lines]
    for line, spans in zip(lines, found, strict=True):
        for start, end in spans:
            value = line[start:end].strip("\"'")
            # The last word of `Bearer abc` is the secret itself.
            words = dict.fromkeys((value, value.rpartition(" ")[2]))
            masker.add([each for each in words if len(each) >= LEAST])
    merged = [
        tuple(_merged([*spans, *masker.spans(line)]))
        for line, spans in zip(lines, found, strict=True)
    ]
    masked = [_without(line, spans) for line, spans in zip(lines, merged, strict=True)]
    return MaskedSource("\n".join(masked), tuple(merged), masker)


class _Block(Struct):
    """A key, with the rule for the values below it.

    Attributes:
        indent: Column of the key, from 0; 0 within brackets.
        is_secret: True if the values are secret.
        is_harmless: True if no value below the key is secret.
        is_text: True if the value is a block scalar, whose lines are no keys.
    """

    indent: int = 0
    is_secret: bool = False
    is_harmless: bool = False
    is_text: bool = False

    def below(self, name: str, indent: int = 0) -> "_Block":
        """Return the block of a key below this one."""
        name = name.strip("\"'")
        is_harmless = self.is_harmless or name in _HARMLESS
        named = _SECRET.search(name) is not None and name != "secret"
        is_secret = not is_harmless and (named or (self.is_secret and name not in _OF_FIELDS))
        return _Block(indent, is_secret, is_harmless)


class _Reader:
    """Reader of the lines of a YAML text, which finds the values of keys with secret names."""

    def __init__(self) -> None:
        self._blocks = [_Block(indent=-1)]
        self._brackets: list[_Block] = []
        self._key: _Block | None = None

    def spans(self, line: str) -> list[Span]:
        """Return the parts of the next line that are secret."""
        at = len(line) - len(line.lstrip())
        if at == len(line) or line[at] == "#":
            return []
        if self._brackets:
            return [*self._in_brackets(line, at)]
        block = self._blocks[-1]
        if block.is_text and at > block.indent:
            return [(at, len(line.rstrip()))] if block.is_secret else []
        while item := _ITEM.match(line, at):
            at = item.end()
        while self._blocks[-1].indent >= at:
            self._blocks.pop()
        if key := _KEY.match(line, at):
            self._blocks.append(self._blocks[-1].below(key[1], at))
            at = key.end()
        block = self._blocks[-1]
        if line[at : at + 1] in ("{", "["):
            return [*self._in_brackets(line, at)]
        if line[at : at + 1] in ("|", ">"):
            block.is_text = True
            return []
        return [(at, _end(line, at))] if block.is_secret and _is_value(line, at) else []

    def _in_brackets(self, line: str, at: int) -> Iterator[Span]:
        """Yield the secret parts of a line from an index on, which is within brackets."""
        while at < len(line):
            around = self._key or (self._brackets or self._blocks)[-1]
            char = line[at]
            word = None if char in "{}[],:" else _QUOTED.match(line, at) or _IN_FLOW.match(line, at)
            text = word[0].rstrip() if word else ""
            if text and char != " ":
                end = at + len(text)
                colon = _COLON.match(line, end)
                if colon:
                    self._key = (self._brackets or self._blocks)[-1].below(line[at:end])
                elif around.is_secret and _is_value(line[:end], at):
                    yield at, end
                at = colon.end() if colon else end
                continue
            if char in "{[":
                self._brackets.append(around)
            elif char in "}]" and self._brackets:
                self._brackets.pop()
            if char in "{}[],":
                self._key = None
            at += 1


def _end(line: str, at: int) -> int:
    """Return the index after the scalar of a block that begins at an index."""
    quoted = _QUOTED.match(line, at)
    comment = _COMMENT.search(line, at)
    return quoted.end() if quoted else comment.start() if comment else len(line)


def _is_value(line: str, at: int) -> bool:
    """Return True if the scalar at an index is a value and not only an expression."""
    value = line[at : _end(line, at)].strip("\"'")
    return value.lower() not in _PLAIN and _EXPRESSION.fullmatch(value) is None


def _in_addresses(text: str) -> Iterator[Span]:
    """Yield the user-info of the addresses in a text, and what is assigned to secret names.

    These are parameters of addresses, and variables in command lines and in ``.env`` files.
    """
    for info in _USER_INFO.finditer(text):
        yield info.span()
    for pair in _ASSIGNED.finditer(text):
        if _SECRET.search(pair[1]) and "$" not in pair[2]:
            yield pair.span(2)


def _merged(spans: Iterable[Span]) -> Iterator[Span]:
    """Yield spans in the order of the text, with those that overlap as one."""
    start = end = -1
    for first, last in sorted(spans):
        if first > end:
            if start >= 0:
                yield start, end
            start = first
        end = max(end, last)
    if start >= 0:
        yield start, end


def _without(text: str, spans: Iterable[Span]) -> str:
    for start, end in reversed([*_merged(spans)]):
        text = f"{text[:start]}{MASK}{text[end:]}"
    return text


def _moved(index: int, spans: Iterable[Span], *, is_end: bool) -> int:
    """Return the index in a masked line of an index in the original line."""
    shift = 0
    for start, end in spans:
        if index <= start:
            break
        if index < end:
            return start - shift + (len(MASK) if is_end else 0)
        shift += end - start - len(MASK)
    return index - shift
