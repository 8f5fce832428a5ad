"""Hash chain of journal lines: each line proves all before it.

A line is one JSON object: ``n`` (from 1), ``ts``, the fields of the event, and last ``hash``. The
hash is the SHA-256 of the hash of the previous line followed by this line up to its hash. This
module opens no file.
"""

import time
from collections.abc import Callable
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import Any, Final, get_args

import msgspec

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import KNOWN, AnyEvent, StepFinished
from pytest_orchestrator.core.text import escape_surrogates_in_json

GENESIS: Final = "0" * 64
"""The hash before the first line."""

_HASH: Final = b',"hash":"'
_EVENT: Final = b'","event":"'
_TS: Final = len("2026-11-25T10:15:02.123456Z")
_TAIL: Final = len(_HASH) + 64 + len(b'"}')
_encode: Final = msgspec.json.Encoder().encode


class JournalDamaged(OrchestratorError):
    """Error: a line of a journal was changed, moved or removed after it was written.

    Attributes:
        line: Number of the line, from 1.
    """

    slug = "journal-damaged"
    line = 0

    @classmethod
    def at(cls, line: int, why: str) -> "JournalDamaged":
        """Return the error for a line; its text begins with the number of the line."""
        error = cls(f"line {line}: {why}")
        error.line = line
        return error


class Entry(msgspec.Struct, frozen=True):
    """One line of a journal.

    Attributes:
        n: Number of the line, from 1.
        ts: The time at which it was written, in ISO 8601 UTC.
        event: The event; None if a later version wrote one that this version does not know.
    """

    n: int
    ts: str
    event: AnyEvent | None


class _Head(msgspec.Struct):
    n: int
    ts: str
    event: str


class Chain:
    """End of a hash chain, to append lines or to verify them.

    Attributes:
        length: Number of lines so far.
        hash: Hash of the last line.
    """

    __slots__ = ("_decode", "_second", "_second_text", "hash", "length")

    def __init__(
        self,
        length: int = 0,
        hash: str = GENESIS,  # noqa: A002 # its name
        *,
        raw_blocks: bool = False,
    ) -> None:
        """Create the end of a chain.

        Args:
            length: Number of lines.
            hash: Hash of the last line.
            raw_blocks: True to leave the JSON text of the blocks of steps as it is, for readers
                that decode only few of them or decode them to their type (`from_block`).
        """
        self.length = length
        self.hash = hash
        self._decode = decode_with_raw_block if raw_blocks else _decode_event
        self._second, self._second_text = -1, b""  # cached: most lines share it with the last one

    def line(self, event: AnyEvent, moment: int | None = None) -> bytes:
        """Encode the next line without adding it to the chain; `advance` does that.

        Args:
            event: The event.
            moment: Time of the event, in microseconds since the epoch; None for now.

        Returns:
            The line with its line feed.
        """
        second, rest = divmod(time.time_ns() // 1000 if moment is None else moment, 1_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        try:
            text = _encode(event)
        except UnicodeEncodeError:  # lone surrogates, mostly from file names
            text = _encode(escape_surrogates_in_json(msgspec.to_builtins(event)))
        number, fields = self.length + 1, text[1:-1]
        body = b'{"n":%d,"ts":"%b.%06dZ",%b' % (number, self._second_text, rest, fields)
        proof = sha256(self.hash.encode() + body).hexdigest()
        return b'%b,"hash":"%b"}\n' % (body, proof.encode())

    def advance(self, line: bytes) -> None:
        """Add a line of `line` to the chain, after the line was written to the file."""
        self.length += 1
        self.hash = line[-67:-3].decode()

    def verify(self, line: bytes) -> Entry:
        """Verify, decode and add the next line, given without its line feed.

        Raises:
            JournalDamaged: The line is not the one that was written there.
        """
        number = self.length + 1
        proof = sha256(b"%b%b" % (self.hash.encode(), line[:-_TAIL])).hexdigest()
        if line[-_TAIL:] != b',"hash":"%b"}' % proof.encode():
            has_form = line[-_TAIL:-66] == _HASH and line[-2:] == b'"}'
            raise JournalDamaged.at(number, self._mismatch(line) if has_form else _malformed(line))
        entry = decode_line(line, number, self._decode)
        if entry.n != number:
            raise JournalDamaged.at(number, f"it says that it is line {entry.n}")
        self.length, self.hash = number, proof
        return entry

    def _mismatch(self, line: bytes) -> str:
        """Describe why the hash of a line is wrong: a line was changed, or lines were moved."""
        try:
            number = _decode_head(line).n
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return "it was changed: it is no JSON any more"
        if number != self.length + 1:
            return f"it says that it is line {number}: lines before it are gone or were moved"
        return "it, or the hash of the line before it, was changed"


def decode_line(
    line: bytes, number: int = 0, decode: Callable[[bytes], AnyEvent] | None = None
) -> Entry:
    """Decode a line without verifying its hash.

    Args:
        line: The line, without its line feed.
        number: The number that the line probably has; that makes it faster.
        decode: Decoder of the event; None for the one that decodes all of it.

    Raises:
        JournalDamaged: The bytes are not a line of a journal.
    """
    decode = decode or _decode_event
    begin = b'{"n":%d,"ts":"' % number
    start = len(begin)
    if line.startswith(begin) and line.startswith(_EVENT, start + _TS):
        try:
            return Entry(number, line[start : start + _TS].decode(), decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            pass  # no event, or one of a later version
    try:
        head = _decode_head(line)
        event = decode(line) if head.event in KNOWN else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise JournalDamaged.at(0, f"it is no event: {error}") from error
    return Entry(head.n, head.ts, event)


def _malformed(line: bytes) -> str:
    return "it is empty" if not line else "it does not end as a line of a journal does"


_decode_head: Final[Any] = msgspec.json.Decoder(_Head).decode
_decode_event: Final[Any] = msgspec.json.Decoder(AnyEvent).decode


class RawStepFinished(StepFinished, frozen=True, kw_only=True, tag="step_finished"):
    """`StepFinished` whose block is JSON text."""

    block: msgspec.Raw  # type: ignore[assignment]


_events: Final = (RawStepFinished, *(one for one in get_args(AnyEvent) if one is not StepFinished))
decode_with_raw_block: Final[Any] = msgspec.json.Decoder(reduce(or_, _events)).decode
"""Decoder of an event that leaves the block of a step as it is: its JSON text."""
