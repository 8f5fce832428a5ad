"""Durable Context: each change is written to a file before it takes effect.

The file is a journal that keeps every change, so it never becomes shorter. A cache file next to it
contains the values and the history after one of its lines, and the SHA-256 of all lines up to that
one. With the cache, a start reads only the later lines. A cache that does not match is ignored.
"""

import hashlib
import os
import stat
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import (
    SCHEMA_VERSION,
    ContextChanged,
    ContextReplaced,
    RunStarted,
)
from pytest_orchestrator.core.files import replacing
from pytest_orchestrator.core.json_values import decode, encode
from pytest_orchestrator.runs.journal.chain import Chain, Entry, JournalDamaged
from pytest_orchestrator.runs.journal.reader import JournalParser
from pytest_orchestrator.runs.journal.writer import Journal

_RUN: Final = "serve"
"""Value of the field that has the run id in the journal of a session."""

MIN_LINES: Final = 10_000
"""A cache is written only for more lines; a start reads this many in a twentieth of a second."""

_CHUNK: Final = 1 << 20


class NotKept(OrchestratorError):
    """Error: a file does not contain a Context that can be continued."""

    slug = "not-kept"


class DurableContext:
    """Context whose changes are all in a file.

    Attributes:
        context: The Context with all changes in the file.
        journal: The writer that records each further change before it takes effect.
        torn: Number of bytes of an incompletely written last change, which were removed.
    """

    def __init__(self, context: Context, journal: Journal, torn: int, cache: "_Cache") -> None:
        self.context = context
        self.journal = journal
        self.torn = torn
        self._cache = cache

    def record_change(self, event: ContextChanged | ContextReplaced, moment: int) -> None:
        """Record a change that is about to be made; the caller holds the lock of the Context.

        Raises:
            JournalError: The change cannot be recorded.
        """
        # Each new cache covers half as many lines again, so the mean cost of a change is constant.
        if self._cache.is_due(self.journal, max(MIN_LINES, self._cache.lines // 2)):
            self._cache.write(self.context, self.journal)
        self.journal.append(event, moment)

    def close(self) -> None:
        """Write the cache if it is due, fsync the journal, and close it."""
        if self._cache.is_due(self.journal, MIN_LINES):
            self._cache.write(self.context, self.journal)
        self.journal.sync()
        self.journal.close()


def open_durable_context(path: Path) -> DurableContext:
    """Open the Context in a file, or create the file with an empty Context.

    Args:
        path: The file.

    Raises:
        NotKept: The file is damaged, or is not the file of a Context.
        JournalError: The file cannot be written, or another process writes it.
        OSError: The file cannot be read.
    """
    context, cache, torn = Context(_RUN), _Cache(path), 0
    if not path.exists() or not path.stat().st_size:
        mode = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
        path.unlink(missing_ok=True)
        journal = Journal(path)
        if mode is not None:
            path.chmod(mode)
        journal.append(RunStarted(schema_version=SCHEMA_VERSION, run=_RUN))
    else:
        tail = cache.load(context)
        _replay(path, tail, context)
        torn, lines = len(tail.torn), tail.chain.length
        journal = Journal(path, Chain(lines, tail.chain.hash))
        if path.stat().st_size != tail.read + torn:
            journal.close()
            raise NotKept(f"{path} was changed while it was read; try again")
        journal.cut(tail.read)
        if not lines:
            journal.append(RunStarted(schema_version=SCHEMA_VERSION, run=_RUN))
    durable = DurableContext(context, journal, torn, cache)
    if cache.is_due(journal, MIN_LINES):
        cache.write(context, journal)
    context.set_callbacks(durable.record_change)
    return durable


def _replay(path: Path, tail: JournalParser, context: Context) -> None:
    """Apply the changes that follow the lines already read by `tail`.

    Raises:
        NotKept: The file is damaged, or is not the file of a Context.
    """
    try:
        with path.open("rb") as file:
            file.seek(tail.read)
            while chunk := file.read(_CHUNK):
                for entry in tail.feed(chunk):
                    _apply(path, entry, context)
        tail.end()
    except JournalDamaged as error:
        if not tail.chain.length:
            raise NotKept(f"{path} is no file of a Context; take another one") from None
        raise NotKept(f"{path} is damaged: {error}; nothing was changed") from None
    if not tail.chain.length and not b'{"n":1,'.startswith(tail.torn[:7]):
        raise NotKept(f"{path} is no file of a Context; take another one")


def _apply(path: Path, entry: Entry, context: Context) -> None:
    event = entry.event
    if entry.n == 1 and not (isinstance(event, RunStarted) and event.run == _RUN):
        raise NotKept(f"{path} is the journal of a run; take a file of its own")
    if isinstance(event, ContextChanged | ContextReplaced):
        context.replay(event, entry.ts)


class _Head(msgspec.Struct):
    """Second line of a cache; the first line is the SHA-256 of all bytes after it.

    Attributes:
        version: Version of the format.
        size: Number of bytes of the journal that the cache covers.
        lines: Number of lines in these bytes.
        hash: Hash of the last of these lines.
        digest: SHA-256 of these bytes.
        latest: Time of the last change, in microseconds since the epoch.
        values: Number of bytes of the values, which follow this line.
        keys: Each key with the number of bytes of its history; the histories follow the values
            in the same order.
    """

    version: int
    size: int
    lines: int
    hash: str
    digest: str
    latest: int
    values: int
    keys: list[tuple[str, int]]


def _digest(first: bytes, body: bytes) -> bytes:
    sha256 = hashlib.sha256(first)
    sha256.update(body)
    return f"{sha256.hexdigest()}\n".encode()


_head: Final = msgspec.json.Decoder(_Head)


class _Cache:
    """File next to a journal with the values and the history after one of its lines.

    Args:
        path: The journal.

    Attributes:
        lines: Number of lines of the journal that the cache covers.
    """

    def __init__(self, path: Path) -> None:
        self.lines = 0
        self._journal = path
        self._path = Path(f"{path}.cache")
        self._size = 0
        self._sha256 = hashlib.sha256()

    def is_due(self, journal: Journal, most: int) -> bool:
        """Return True if the cache lacks more than `most` lines of the journal."""
        return journal.failed is None and journal.end[1] - self.lines > most

    def load(self, context: Context) -> JournalParser:
        """Load the cache into a Context, and return the parser for the rest of the journal."""
        cached = self._read()
        if cached is None:
            return JournalParser(split=False)
        head, values, lines = cached
        context.load(values, lines, head.latest)
        self.lines, self._size = head.lines, head.size
        return JournalParser(Chain(head.lines, head.hash), head.size, split=False)

    def _read(self) -> tuple[_Head, dict[str, Any], dict[str, bytes]] | None:
        try:
            with self._path.open("rb") as file:
                fd = file.fileno()
                if stat.S_IMODE(os.fstat(fd).st_mode) & ~self._mode(fd):
                    return None  # others can read it; a start replaces it
                digest, first = file.readline(), file.readline()
                body = file.read()
            if _digest(first, body) != digest:
                return None
            head = _head.decode(first)
            if head.version != 1:
                return None
            sha256 = hashlib.sha256()
            self._update(sha256, 0, head.size)
        except (OSError, EOFError, msgspec.MsgspecError):
            return None
        if sha256.hexdigest() != head.digest:
            return None
        self._sha256 = sha256
        lines, at = {}, head.values
        for key, size in head.keys:
            lines[key] = body[at : at + size]
            at += size
        values: dict[str, Any] = decode(body[: head.values])
        return head, values, lines

    def _update(self, sha256: Any, begin: int, end: int) -> None:
        """Update a SHA-256 with bytes of the journal.

        Raises:
            OSError: The journal cannot be read.
            EOFError: The journal is shorter.
        """
        with self._journal.open("rb") as file:
            file.seek(begin)
            while begin < end:
                chunk = file.read(min(_CHUNK, end - begin))
                if not chunk:
                    raise EOFError
                sha256.update(chunk)
                begin += len(chunk)

    def write(self, context: Context, journal: Journal) -> None:
        """Replace the cache file; keep the old one if the new one cannot be written.

        Args:
            context: The Context after the last line of the journal.
            journal: The journal.
        """
        size, count, last = journal.end
        try:
            sha256 = self._sha256.copy()
            self._update(sha256, self._size, size)
            self._sha256, self._size, self.lines = sha256, size, count
            values, lines, latest = context.dump()
            encoded = encode(values)
            body = b"".join([encoded, *lines.values()])
            head = _Head(
                version=1,
                size=size,
                lines=count,
                hash=last,
                digest=self._sha256.hexdigest(),
                latest=latest,
                values=len(encoded),
                keys=[(key, len(rows)) for key, rows in lines.items()],
            )
            first = msgspec.json.encode(head) + b"\n"
            with replacing(self._path, 0o600) as file:
                os.fchmod(file.fileno(), self._mode(file.fileno()))
                file.writelines((_digest(first, body), first, body))
        except (OSError, EOFError):  # the present cache stays
            pass

    def _mode(self, cache: int) -> int:
        """Return the permission bits for a cache file: at most those of the journal."""
        journal = self._journal.stat()
        is_same_group = os.fstat(cache).st_gid == journal.st_gid
        return stat.S_IMODE(journal.st_mode) & (0o777 if is_same_group else 0o700)
