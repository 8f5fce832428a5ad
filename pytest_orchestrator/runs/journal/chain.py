"""Hash chain of journal lines: each line proves all before it.

A line is one object: ``n`` (from 1), ``ts``, the event, and last ``hash``, the SHA-256 of the
hash before it followed by the line up to there. Bytes in, bytes out; no file is touched here.
"""

import time
from hashlib import sha256
from typing import Any, Final, NamedTuple

import msgspec

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import KNOWN, AnyEvent
from pytest_orchestrator.core.text import encodable

GENESIS: Final = "0" * 64
"""What the first line has for the hash before it."""

_HASH: Final = b',"hash":"'
_TAIL: Final = len(_HASH) + 64 + len(b'"}')
_encode: Final = msgspec.json.Encoder().encode


class JournalDamaged(OrchestratorError):
    """A line of a journal that is not what was written.

    Attributes:
        line: Its number, from 1.
    """

    slug = "journal-damaged"
    line = 0

    @classmethod
    def at(cls, line: int, why: str) -> "JournalDamaged":
        """Make the error for a line, which stands in its text."""
        error = cls(f"line {line}: {why}")
        error.line = line
        return error


class Entry(NamedTuple):
    """One line that was read.

    Attributes:
        n: Its number, from 1.
        ts: When it was written, in ISO 8601 UTC.
        event: What happened; None where a later version wrote what this one does not know.
    """

    n: int
    ts: str
    event: AnyEvent | None


class _Head(msgspec.Struct):
    n: int
    ts: str
    event: str


class Chain:
    """The end of a chain of lines, to which one is added, or which one is held against.

    Attributes:
        length: Number of the lines so far.
        hash: Hash of the last one.
    """

    __slots__ = ("_second", "_told", "hash", "length")

    def __init__(self, length: int = 0, hash: str = GENESIS) -> None:  # noqa: A002 # its name
        self.length = length
        self.hash = hash
        self._second, self._told = -1, b""  # mostly it is the second of the last line

    def line(self, event: AnyEvent, moment: int | None = None) -> bytes:
        """Write the next line, which counts once `take` has it.

        Args:
            event: What happened.
            moment: When, in microseconds since the epoch; now where None.

        Returns:
            The line with its line break.
        """
        second, rest = divmod(time.time_ns() // 1000 if moment is None else moment, 1_000_000)
        if second != self._second:
            self._second = second
            self._told = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        try:
            text = _encode(event)
        except UnicodeEncodeError:  # names of files, mostly
            text = _encode(encodable(msgspec.to_builtins(event)))
        number, rest_of_it = self.length + 1, text[1:-1]
        body = b'{"n":%d,"ts":"%b.%06dZ",%b' % (number, self._told, rest, rest_of_it)
        proof = sha256(self.hash.encode() + body).hexdigest()
        return b'%b,"hash":"%b"}\n' % (body, proof.encode())

    def wrote(self, line: bytes) -> None:
        """Let a line of `line` count: it is written."""
        self.length += 1
        self.hash = line[-67:-3].decode()

    def take(self, line: bytes) -> Entry:
        """Read the next line, without its line break.

        Returns:
            What it says.

        Raises:
            JournalDamaged: It is not what was written there.
        """
        body, number = line[:-_TAIL], self.length + 1
        if line[-_TAIL:-66] != _HASH or line[-2:] != b'"}':
            raise JournalDamaged.at(number, _unlike(line))
        proof = sha256(self.hash.encode() + body).hexdigest()
        if line[-66:-2] != proof.encode():
            raise JournalDamaged.at(number, self._why(line))
        entry = entry_of(line)
        if entry.n != number:
            raise JournalDamaged.at(number, f"it says that it is line {entry.n}")
        self.length, self.hash = number, proof
        return entry

    def _why(self, line: bytes) -> str:
        """Tell a line that was changed from one that stands in a wrong place."""
        try:
            number = _decode_head(line).n
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return "it was changed: it is no JSON any more"
        if number != self.length + 1:
            return f"it says that it is line {number}: lines before it are gone or were moved"
        return "it, or the hash of the line before it, was changed"


def entry_of(line: bytes) -> Entry:
    """Read a line that nobody doubts.

    Raises:
        JournalDamaged: It is no line of a journal.
    """
    try:
        head = _decode_head(line)
        event = _decode_event(line) if head.event in KNOWN else None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise JournalDamaged.at(0, f"it is no event: {error}") from error
    return Entry(head.n, head.ts, event)


def _unlike(line: bytes) -> str:
    return "it is empty" if not line else "it does not end as a line of a journal does"


_decode_head: Final[Any] = msgspec.json.Decoder(_Head).decode
_decode_event: Final[Any] = msgspec.json.Decoder(AnyEvent).decode
