"""Log files of a step: those of its attempts and elements, their lines, and lines with a text.

A file is read in blocks, so the memory that is used does not depend on its size. An index has the
number of lines before each block; for a file that grows, only the new blocks are counted.
"""

import os
import re
import threading
from bisect import bisect_left
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from msgspec import Struct

from pytest_orchestrator.core.files import READ_FILE
from pytest_orchestrator.core.text import overwritten
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.html.output import coloured
from pytest_orchestrator.reports.text import cut, json_text, shown, shown_with_colours
from pytest_orchestrator.runs.block import Attempt
from pytest_orchestrator.runs.folder import LogFile, RunFiles, logs_in
from pytest_orchestrator.runs.record import ACTIVE, StepRecord

MAX_HITS: Final = 10_000
"""Highest number of lines that a search lists."""

_BLOCK: Final = 1 << 16
"""Bytes between two counts of lines: the index of a log of 100 MB has some 1,500 numbers."""
_CHUNK: Final = 1 << 20
"""Bytes that a search reads at once; a log may have 100 MB."""
_MAX_INDEXES: Final = 32
"""Indexes in memory; that of the log which was opened longest ago is dropped."""
_LONG_LINE: Final = 20_000
"""Bytes of a line that are shown while the part has room."""
_SHORT_LINE: Final = 400
"""Bytes of a line that are shown once the part has no room."""
_PART_BYTES: Final = 300_000
"""Bytes of the lines of a part; beyond it, long lines are shortened."""
_SGR: Final = re.compile(rb"\x1b\[[0-9;]*m")
_SNIPPET: Final = (60, 160)
"""Bytes that a hit shows before and after its match, at most."""


class Line(Struct, frozen=True):
    """Line of a log.

    Attributes:
        number: Its number, from 1.
        html: Its text with its colours, safe for a page.
        left_out: Bytes in the middle of it that are not shown.
    """

    number: int
    html: Any
    left_out: int = 0


class Hit(Struct, frozen=True):
    """Line that contains the text of a search: its number, and the text around the first match."""

    number: int
    before: str
    match: str
    after: str


class Hits(Struct, frozen=True):
    """Result of a search: the lines in order, and True if the file has more of them."""

    lines: list[Hit]
    is_more: bool


class _Index:
    """Numbers of lines before each block of a file."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._inode = 0
        self._before = [0]
        self._size = 0
        self._last = self._newlines = 0

    def update(self, file: BinaryIO) -> int:
        """Count the lines that were added to the file, and return the number of all lines."""
        status = os.fstat(file.fileno())
        if status.st_ino != self._inode or status.st_size < self._size:
            self._inode, self._before, self._size, self._newlines = status.st_ino, [0], 0, 0
        if status.st_size > self._size:
            file.seek((len(self._before) - 1) * _BLOCK)
            self._newlines = self._before[-1]
            left = status.st_size - (len(self._before) - 1) * _BLOCK
            while left > 0 and (data := file.read(min(_BLOCK, left))):
                left -= len(data)
                self._newlines += data.count(b"\n")
                self._last = data[-1]
                if len(data) == _BLOCK:
                    self._before.append(self._newlines)
            self._size = status.st_size
        return self._newlines + (self._size > 0 and self._last != 10)

    def offset(self, file: BinaryIO, number: int) -> int:
        """Return the offset of the first byte of a line; the size of the file after the last."""
        if number <= 1:
            return 0
        if number > self._newlines + 1:
            return self._size
        block = bisect_left(self._before, number - 1) - 1
        file.seek(block * _BLOCK)
        data = file.read(_BLOCK)
        at = -1
        for _ in range(number - 1 - self._before[block]):
            at = data.find(b"\n", at + 1)
        return block * _BLOCK + at + 1


_indexes: dict[Path, _Index] = {}
_indexes_lock: Final = threading.Lock()


def _index(path: Path) -> _Index:
    with _indexes_lock:
        index = _indexes.pop(path, None) or _Index()
        _indexes[path] = index  # the last key is the most recently used one
        while len(_indexes) > _MAX_INDEXES:
            del _indexes[next(iter(_indexes))]
    return index


def _opened(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, READ_FILE), "rb")


def count(path: Path) -> int:
    """Return the number of lines of a log.

    Raises:
        OSError: The log cannot be read.
    """
    index = _index(path)
    with _opened(path) as file, index.lock:
        return index.update(file)


def lines(path: Path, first: int, most: int) -> list[Line]:
    """Return lines of a log as a terminal shows them in the end.

    Args:
        path: The log.
        first: Number of the first line, from 1.
        most: Highest number of lines.

    Raises:
        OSError: The log cannot be read.
    """
    index = _index(path)
    with _opened(path) as file, index.lock:
        last = min(first + most - 1, index.update(file))
        starts = index.offset(file, first)
        return list(_read(file, index, range(first, last + 1), starts))


def _read(file: BinaryIO, index: _Index, numbers: range, start: int) -> Iterator[Line]:
    room, colours = _PART_BYTES, ""
    for number in numbers:
        most = _LONG_LINE if room > 0 else _SHORT_LINE
        file.seek(start)
        raw = file.readline(most)
        start += len(raw)
        text, left_out = raw.decode("utf-8", "backslashreplace"), 0
        if len(raw) == most and raw[-1] != 10:
            stop = index.offset(file, number + 1)
            text, left_out = _shortened(file, raw, start, stop)
            start = stop
        text = shown_with_colours(overwritten(text.rstrip("\n")))
        room -= len(text)
        yield Line(number, coloured(colours + text), left_out)
        colours = _colours(colours, text)


def _shortened(file: BinaryIO, head: bytes, start: int, stop: int) -> tuple[str, int]:
    """Return the beginning and the end of a long line, and the number of bytes between them."""
    size = min(stop - start, len(head) // 4)
    file.seek(stop - size)
    end = file.read(size).rstrip(b"\r\n").decode("utf-8", "replace").lstrip("\ufffd")
    left_out = stop - start - size
    if "\r" in end:  # a progress bar: what precedes its last state is overwritten
        return end, 0
    gap = " … " if left_out else ""
    return head.decode("utf-8", "replace").rstrip("\ufffd") + gap + end, left_out


_CODES: Final = re.compile(r"\x1b\[([0-9;]*)m")


def _colours(before: str, text: str) -> str:
    """Return the sequences that set the colours at the end of a line."""
    for match in _CODES.finditer(text):
        before = "" if match[1] in ("", "0") else (before + match[0])[-200:]
    return before if before.startswith("\x1b") else ""


def search(path: Path, text: str) -> Hits:
    """Return the lines of a log that contain a text; upper and lower case are equal.

    Terminal colours within a line are ignored.

    Args:
        path: The log.
        text: The text, not empty.

    Raises:
        OSError: The log cannot be read.
    """
    found: list[Hit] = []
    with _opened(path) as file:
        for number, chunk in _chunks(file):
            for hit in _hits(chunk, text, number):
                if found and found[-1].number == hit.number:
                    continue  # a line that is longer than a chunk
                if len(found) == MAX_HITS:
                    return Hits(found, is_more=True)
                found.append(hit)
    return Hits(found, is_more=False)


def _chunks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield pieces of a file that end with a line, each with the number of its first line."""
    number, rest = 1, b""
    while data := file.read(_CHUNK):
        data = rest + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) > 4 * _CHUNK:
            end = len(data)
        rest = data[end:]
        if end:
            yield number, data[:end]
            number += data.count(b"\n", 0, end)
    if rest:
        yield number, rest


def _hits(chunk: bytes, text: str, number: int) -> Iterator[Hit]:
    if b"\x1b" in chunk:
        chunk = _SGR.sub(b"", chunk)
    low: bytes | str
    whole: bytes | str
    if text.isascii():  # bytes: ten times as fast
        whole, low, needle, end = chunk, chunk.lower(), text.lower().encode(), b"\n"
    else:
        whole = chunk.decode("utf-8", "replace")
        low, needle, end = whole.lower(), text.lower(), "\n"  # type: ignore[assignment]
        whole = whole if len(whole) == len(low) else low
    yield from _matches(whole, low, needle, end, number)


def _matches(whole: Any, low: Any, needle: Any, end: Any, number: int) -> Iterator[Hit]:
    """Yield the hits in a piece; all texts are bytes, or all are `str`."""
    counted = 0
    at = low.find(needle)
    while at != -1:
        number += low.count(end, counted, at)
        counted = at
        start = max(low.rfind(end, 0, at) + 1, at - _SNIPPET[0])
        stop = low.find(end, at)
        stop = len(low) if stop == -1 else stop
        after = at + len(needle)
        yield Hit(
            number,
            _text(whole[start:at]),
            _text(whole[at:after]),
            _text(whole[after : min(stop, after + _SNIPPET[1])]),
        )
        at = low.find(needle, stop)


def _text(part: bytes | str) -> str:
    text = part.decode("utf-8", "replace") if isinstance(part, bytes) else part
    return shown(text.replace("\r", " "))


STREAMS: Final = ("stdout", "stderr", "log")


class LogSource(Struct, frozen=True):
    """Logs of one attempt or of one element of a step.

    Attributes:
        part: Its name in URLs: empty for the last attempt, else such as ``2`` or ``e5``.
        label: Its name.
        files: The recorded logs by stream; empty while it runs.
        attempt: Number of its attempt; 0 for an element.
    """

    part: str
    label: str
    files: dict[str, LogFile]
    attempt: int


def sources(step: StepRecord) -> list[LogSource]:
    """Return the logs of a step: the last attempt first, then earlier attempts, then elements."""
    found = []
    last = step.attempt or 1
    if step.logs or not step.block_elements:
        found.append(LogSource("", f"attempt {last}", step.logs, last))
    attempts = (step.block.attempts or ()) if step.block else step.failed
    for one in attempts:
        files = logs_in(one) if isinstance(one, Attempt) else {}
        label = f"attempt {one.attempt} (failed)"
        found.append(LogSource(str(one.attempt), label, files, one.attempt))
    for element in step.block_elements:
        label = f"element {element.index + 1}: {json_text(element.item, 40)} ({element.state})"
        found.append(LogSource(f"e{element.index}", label, logs_in(element), 0))
        for one in element.attempts or ():
            part = f"e{element.index}.{one.attempt}"
            label = f"element {element.index + 1}, attempt {one.attempt} (failed)"
            found.append(LogSource(part, label, logs_in(one), 0))
    return found


class Stream(Struct, frozen=True):
    """A log of a step.

    Attributes:
        name: stdout, stderr or log.
        path: Its path; None if it is outside of the run folder or missing.
        recorded_path: Its path as the journal has it.
        size: Its size in bytes.
        is_cut: True if its end was not recorded, since it was too long.
    """

    name: str
    path: Path | None
    recorded_path: str
    size: int
    is_cut: bool = False


def streams(view: RunView, step: StepRecord, source: LogSource) -> list[Stream]:
    """Return the logs of an attempt or element that exist.

    Args:
        view: The run.
        step: The step.
        source: One of its `sources`.
    """
    files, found = RunFiles(view.folder), []
    for name in STREAMS:
        recorded = source.files.get(name)
        if recorded is None and (source.files or not source.attempt):
            continue
        # A log that no block names yet is where an attempt writes it.
        file = recorded.file if recorded else step.log_file(name, source.attempt)
        path = files.at(file)
        is_there = path is not None and path.is_file()
        if is_there or recorded:
            size = path.stat().st_size if path is not None and is_there else 0
            text = cut(file.recorded_path, 300)
            is_cut = bool(recorded and recorded.cut)
            found.append(Stream(name, path if is_there else None, text, size, is_cut))
    return found


def is_open(step: StepRecord, source: LogSource) -> bool:
    """Return True if a step still writes the logs of an attempt or element."""
    return step.state in ACTIVE and source.attempt == step.attempt
