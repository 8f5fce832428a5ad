"""Streaming masker for bytes that arrive in chunks.

The supervisor loads this module and must start fast, so only `re` is imported at the top.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import AnyStr, TypeAlias

    Groups: TypeAlias = dict[AnyStr, list[AnyStr]]

MASK = "***"
_MASK = MASK.encode()
_KEPT = 1 << 24  # 16 MiB: secrets in longer output are never restored (`text_search`)


class MaskStream:
    """Masks a stream chunk by chunk; holds back bytes that may be the beginning of a secret.

    Args:
        forms: The forms of all secrets, the longest first.

    Attributes:
        replaced: The offset of each mask in the masked output, and the bytes that it replaces;
            for the first 16 MiB of output.
    """

    def __init__(self, forms: tuple[bytes, ...]) -> None:
        self.replaced: list[tuple[int, bytes]] = []
        self._forms = forms
        self._groups, self._heads = _indexed(forms)
        self._held = b""
        self._sent = 0

    def feed(self, chunk: bytes) -> bytes:
        """Add the next bytes; return all masked bytes that cannot be the beginning of a secret."""
        data = self._held + chunk
        return self._masked(data, len(data) - self._partial_size(data))

    def end(self) -> bytes:
        """Return the bytes that are still held back, masked; the stream has ended."""
        return self._masked(self._held, len(self._held))

    def _partial_size(self, data: bytes) -> int:
        """Return the number of bytes at the end of `data` that may be the beginning of a secret."""
        most, size, last = 0, len(data), data[-1:]
        for head, forms in self._heads:
            # A pair of bytes is found far less often than one byte, so the search is for the
            # pair; only at the very end of the data a single byte can be a beginning.
            if not most and last == head[:1]:
                most = 1
            at = data.find(head, max(0, size - len(forms[0]) + 1), size - most + 1)
            while at >= 0:
                partial = data[at:]
                if any(form.startswith(partial) and form != partial for form in forms):
                    most = size - at
                    break
                at = data.find(head, at + 1, size - most + 1)
        return most

    def _masked(self, data: bytes, end: int) -> bytes:
        """Return the data masked up to `end`; hold back the bytes from there on."""
        pieces: list[bytes] = []
        at = 0
        if has_any(data, self._groups):
            for hit in _pattern(self._forms).finditer(data):
                if hit.start() >= end:
                    break
                self._send(pieces, data[at : hit.start()])
                if self._sent < _KEPT:
                    self.replaced.append((self._sent, hit[0]))
                self._send(pieces, _MASK)
                at = hit.end()
        self._send(pieces, data[at : max(at, end)])
        self._held = data[max(at, end) :]
        return b"".join(pieces)

    def _send(self, pieces: list[bytes], piece: bytes) -> None:
        pieces.append(piece)
        self._sent += len(piece)


def _indexed(
    forms: tuple[bytes, ...],
) -> tuple[dict[bytes, list[bytes]], list[tuple[bytes, list[bytes]]]]:
    """Return two cached indexes of forms: the groups of `grouped`; lists by first two bytes."""
    index = _index.get(forms)
    if index is None:
        _index.clear()
        heads: dict[bytes, list[bytes]] = {}
        for form in forms:  # the longest is the first of its group
            if len(form) > 1:
                heads.setdefault(form[:2], []).append(form)
        index = grouped(forms, re.compile(QUOTED.encode()), b""), list(heads.items())
        _index[forms] = index
    return index


_index: dict[
    tuple[bytes, ...], tuple[dict[bytes, list[bytes]], list[tuple[bytes, list[bytes]]]]
] = {}


QUOTED = r"%[0-9A-Fa-f]{2}|&#?\w+;|\\."
"""Expression for one character that is escaped as in a URL, HTML or a JSON string."""


def grouped(forms: Iterable[AnyStr], quoted: re.Pattern[AnyStr], rest: AnyStr) -> Groups[AnyStr]:
    """Group forms by their first escaped character.

    Most forms contain an escaped character. If a text does not contain the escaped
    character of a group, none of the forms in the group has to be searched.

    Args:
        forms: Texts or bytes.
        quoted: The expression `QUOTED`.
        rest: The key of the group of forms without an escaped character; it is empty.
    """
    groups: dict[AnyStr, list[AnyStr]] = {}
    for form in forms:
        match = quoted.search(form)
        groups.setdefault(match[0] if match else rest, []).append(form)
    return groups


def has_any(data: AnyStr, groups: Groups[AnyStr]) -> bool:
    """Return True if a text contains one of the forms in the groups of `grouped`."""
    for mark, forms in groups.items():
        if mark in data:
            for form in forms:
                if form in data:
                    return True
    return False


def _pattern(forms: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Return the compiled regular expression that matches any form; cached for speed."""
    pattern = _patterns.get(forms)
    if pattern is None:
        _patterns.clear()
        expression = secret_pattern(form.decode("latin-1") for form in forms)
        pattern = _patterns[forms] = re.compile(expression.encode("latin-1"))
    return pattern


_patterns: dict[tuple[bytes, ...], re.Pattern[bytes]] = {}


def secret_pattern(forms: Iterable[str]) -> str:
    """Return a regular expression that matches any form; earlier forms have precedence.

    The forms are grouped by their first character, so that few alternatives are tried at each
    position of a text.
    """
    groups: dict[str, list[str]] = {}
    for form in forms:
        groups.setdefault(form[0], []).append(re.escape(form[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in groups.items())


def unmask(data: bytes, replaced: Iterable[tuple[int, bytes]]) -> bytes:
    """Undo the masking of bytes with the replaced bytes that `MaskStream.replaced` holds."""
    pieces, at = [], 0
    for start, raw in replaced:
        pieces += [data[at:start], raw]
        at = start + len(_MASK)
    return b"".join([*pieces, data[at:]])
