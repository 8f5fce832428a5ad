"""File of measurements to which sessions append while they run.

The rows of a step are one write under a lock of the file, so several sessions may append to one
file. A session that is killed within its write leaves a part of a row: the next one that appends
removes it. The journal of the killed session has the row.
"""

import errno
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pytest_orchestrator.runs.measurements.rows import COLUMNS, FORMATS, Row

_FLAGS: Final = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_FIRST_KEY: Final = f'{{"{COLUMNS[0]}":'.encode()
_CHUNK: Final = 1 << 20
_LONGEST_WAIT: Final = 5.0
_PAUSE: Final = 0.01


class OtherFile(ValueError):
    """Error: a file has other content than measurements of this version."""


class MeasurementFile:
    """File of measurements, CSV or JSON Lines by its suffix.

    Attributes:
        path: The file; the first append creates it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._format = FORMATS[path.suffix.removeprefix(".").lower()]
        self._is_csv = bool(self._format.header)
        self._known = (0, 0, 0)
        self._patience = _LONGEST_WAIT

    def check(self) -> None:
        """Check that the file, if it exists, is one of this format and can be written.

        Raises:
            OSError: The file cannot be written.
            OtherFile: The file has other content.
        """
        expected = self._format.header or _FIRST_KEY
        try:
            fd = os.open(self.path, _FLAGS & ~os.O_CREAT)
        except FileNotFoundError:
            return
        try:
            head = os.pread(fd, len(expected), 0)
        finally:
            os.close(fd)
        if not expected.startswith(head):
            raise OtherFile(
                "it has other columns" if self._is_csv else "its first line is no measurement"
            )

    def create(self) -> None:
        """Create the file with its header and the folders above it, unless it exists.

        Raises:
            OSError: The file cannot be created.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.append(())

    def append(self, rows: Iterable[Row]) -> None:
        """Append rows; afterwards the file has all of them, or none if an error is raised.

        Raises:
            OSError: The file cannot be written, or another program locks it for seconds.
        """
        data = self._format.lines(rows)
        fd = os.open(self.path, _FLAGS, 0o644)
        try:
            self._lock(fd)
            status = os.fstat(fd)
            end = self._complete(fd, status)
            if end != status.st_size:
                os.ftruncate(fd, end)
            try:
                end += _write(fd, data if end else self._format.header + data)
            except OSError:
                os.ftruncate(fd, end)
                raise
            self._known = (status.st_dev, status.st_ino, end)
        finally:
            os.close(fd)  # which releases the lock

    def _lock(self, fd: int) -> None:
        """Lock the file; after a lock that was held too long, the next appends do not wait again.

        Raises:
            OSError: As for `append`.
        """
        patience, self._patience = self._patience, 0.0
        _lock(fd, patience)
        self._patience = _LONGEST_WAIT

    def _complete(self, fd: int, status: os.stat_result) -> int:
        """Return the number of bytes of the complete rows; only what is new is read."""
        device, inode, size = self._known
        is_known = (device, inode) == (status.st_dev, status.st_ino) and size <= status.st_size
        start = size if is_known else 0
        end = start
        for at in _ends_of_rows(fd, start, is_csv=self._is_csv):
            end = at
        return end


def _ends_of_rows(fd: int, start: int, *, is_csv: bool) -> Iterator[int]:
    """Yield the offset after the last row of each part of a file.

    Args:
        fd: The file.
        start: Offset at which a row begins.
        is_csv: True if a line feed within quotes does not end a row.
    """
    at, quotes = start, 0
    while data := os.pread(fd, _CHUNK, at):
        found = data.rfind(b"\n")
        before = quotes + data.count(b'"', 0, max(found, 0))
        while is_csv and found >= 0 and before % 2:  # the line feed is within quotes
            earlier = data.rfind(b"\n", 0, found)
            before -= data.count(b'"', max(earlier, 0), found)
            found = earlier
        if found >= 0:
            yield at + found + 1
        quotes += data.count(b'"')
        at += len(data)


def _lock(fd: int, patience: float) -> None:
    """Lock a file until it is closed; wait at most `patience` seconds.

    Raises:
        OSError: Another program holds the lock.
    """
    import fcntl

    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise OSError(errno.EAGAIN, "another program holds its lock") from None
            time.sleep(_PAUSE)
        else:
            return


def _write(fd: int, data: bytes) -> int:
    """Write data with as few writes as possible, nearly always one; return its length."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return len(data)
