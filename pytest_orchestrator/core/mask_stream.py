"""Streaming masker for bytes that arrive in chunks.

Supervisor processes load this module, so it imports `re` and nothing else at the top.
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
_KEPT = 1 << 24


class MaskStream:
    """Bytes as they come; what may be the beginning of a secret waits for what follows.

    Args:
        forms: The forms of all secrets, the longest first.

    Attributes:
        replaced: Where in what went out masks stand, and for what; of the first 16 MiB.
    """

    def __init__(self, forms: tuple[bytes, ...]) -> None:
        self.replaced: list[tuple[int, bytes]] = []
        self._forms = forms
        self._groups, self._heads = _indexed(forms)
        self._held = b""
        self._sent = 0

    def feed(self, chunk: bytes) -> bytes:
        """Take the next bytes; return what can go out."""
        data = self._held + chunk
        return self._masked(data, len(data) - self._begun(data))

    def end(self) -> bytes:
        """Return what waited."""
        return self._masked(self._held, len(self._held))

    def _begun(self, data: bytes) -> int:
        """Return how many bytes at the end may be the beginning of a secret."""
        most, size, last = 0, len(data), data[-1:]
        for head, forms in self._heads:
            # Two bytes are found far less often than one; one alone can only be the last.
            if not most and last == head[:1]:
                most = 1
            at = data.find(head, max(0, size - len(forms[0]) + 1), size - most + 1)
            while at >= 0:
                begun = data[at:]
                if any(form.startswith(begun) and form != begun for form in forms):
                    most = size - at
                    break
                at = data.find(head, at + 1, size - most + 1)
        return most

    def _masked(self, data: bytes, end: int) -> bytes:
        """Mask what begins before the end; the rest is held."""
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
    """Return forms as `grouped` does, and by their first two bytes; mostly it is known."""
    known = _index.get(forms)
    if known is None:
        _index.clear()
        heads: dict[bytes, list[bytes]] = {}
        for form in forms:  # the longest is the first of its group
            if len(form) > 1:
                heads.setdefault(form[:2], []).append(form)
        known = grouped(forms, re.compile(QUOTED.encode()), b""), list(heads.items())
        _index[forms] = known
    return known


_index: dict[
    tuple[bytes, ...], tuple[dict[bytes, list[bytes]], list[tuple[bytes, list[bytes]]]]
] = {}


QUOTED = r"%[0-9A-Fa-f]{2}|&#?\w+;|\\."
"""One character as a URL, HTML or a string of JSON has it."""


def grouped(forms: Iterable[AnyStr], quoted: re.Pattern[AnyStr], rest: AnyStr) -> Groups[AnyStr]:
    """Return forms by the first quoted character of each one.

    Most forms have one: where a text does not have that, no form of the group is looked for.

    Args:
        forms: Texts or bytes.
        quoted: The expression `QUOTED`.
        rest: The key of forms without one; it is empty.
    """
    groups: dict[AnyStr, list[AnyStr]] = {}
    for form in forms:
        found = quoted.search(form)
        groups.setdefault(found[0] if found else rest, []).append(form)
    return groups


def has_any(data: AnyStr, groups: Groups[AnyStr]) -> bool:
    """Return True where one of the forms that `grouped` was given is in a text."""
    for mark, forms in groups.items():
        if mark in data:
            for form in forms:
                if form in data:
                    return True
    return False


def _pattern(forms: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Return what finds any of some forms; dear to make, and mostly there is none."""
    pattern = _patterns.get(forms)
    if pattern is None:
        _patterns.clear()
        words = secret_pattern(one.decode("latin-1") for one in forms)
        pattern = _patterns[forms] = re.compile(words.encode("latin-1"))
    return pattern


_patterns: dict[tuple[bytes, ...], re.Pattern[bytes]] = {}


def secret_pattern(forms: Iterable[str]) -> str:
    """Return a regular expression for forms, of which the first that fits is taken.

    They stand together by their first character: so few are tried at each place of a text.
    """
    groups: dict[str, list[str]] = {}
    for form in forms:
        groups.setdefault(form[0], []).append(re.escape(form[1:]))
    return "|".join(f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in groups.items())


def restored(data: bytes, replaced: Iterable[tuple[int, bytes]]) -> bytes:
    """Return what came in, from what went out and what was replaced in it."""
    pieces, at = [], 0
    for start, raw in replaced:
        pieces += [data[at:start], raw]
        at = start + len(_MASK)
    return b"".join([*pieces, data[at:]])
