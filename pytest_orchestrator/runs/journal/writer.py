"""Journal writer: appends events, fsyncs, seals the run folder.

Exactly one process writes a journal. If an event cannot be written, `append`
raises an error, and so does every later call, because a journal with a gap would prove nothing.
"""

import contextlib
import hashlib
import os
import stat
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Final, NoReturn

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import AnyEvent, RunFinished, StepFinished
from pytest_orchestrator.core.files import READ_FILE, path_text
from pytest_orchestrator.runs.journal.chain import Chain

NAME: Final = "journal.jsonl"
LOCK: Final = "journal.lock"


class JournalLost(JournalError):
    """Error: the journal file was changed, replaced or removed by other code."""


class Journal:
    """Append-only writer of the journal of a run; thread-safe.

    Attributes:
        path: The file.
        failed: The error after which nothing more is written; None if no error occurred.
        on_written: Callback for each written event, with the offset of its line in bytes.
    """

    def __init__(self, path: Path, chain: Chain | None = None) -> None:
        """Create a journal, or continue an existing one.

        Args:
            path: The file; it must not exist, unless `chain` is given.
            chain: The end of the existing journal, as it was read.

        Raises:
            JournalError: The file cannot be created, exists, or another process writes it.
        """
        self.path = path
        self.failed: JournalError | None = None
        self.on_written: Callable[[AnyEvent, int], None] | None = None
        self._chain = chain or Chain()
        self._lock = threading.RLock()
        self._busy = False
        self._later: list[tuple[AnyEvent, int | None]] = []
        self._lock_fd: int | None = None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        flags |= os.O_CREAT | (os.O_EXCL if chain is None else 0)
        try:
            self._lock_fd = _acquire(path.with_suffix(Path(LOCK).suffix))
            self._fd: int | None = os.open(path, flags, 0o644)
            size = os.fstat(self._fd).st_size
        except OSError as error:
            self._release()
            raise JournalError(f"the journal {path} cannot be made: {_reason(error)}") from error
        self._end = (size, self._chain.length, self._chain.hash)
        _open.add(self)

    @property
    def end(self) -> tuple[int, int, str]:
        """Number of bytes and lines that were written, and the hash of the last line."""
        return self._end

    def cut(self, size: int) -> None:
        """Remove a torn last line of a journal that is continued.

        Args:
            size: Number of bytes of the complete lines.

        Raises:
            OSError: The file cannot be truncated.
        """
        with self._lock:
            if self._fd is not None:
                os.ftruncate(self._fd, size)
            self._end = (size, *self._end[1:])

    def append(self, event: AnyEvent, moment: int | None = None) -> None:
        """Write an event; once this returns, the event survives a kill of the process.

        Args:
            event: The event.
            moment: Time of the event, in microseconds since the epoch; None for now.

        Raises:
            JournalError: This event, or an earlier one, could not be written.
        """
        with self._lock:
            if self._fd is None:
                self._refuse()
                return
            if self._busy:  # re-entered from a signal handler: the outer call writes the event
                self._later.append((event, moment))
                return
            self._busy = True
            try:
                kind = type(event)
                if kind is StepFinished or kind is RunFinished:
                    self._check(event)
                self._write(self._fd, event, moment)
                while self._later:
                    self._write(self._fd, *self._later.pop(0))
            except JournalLost as error:
                self._lose(error)
            except OSError as error:
                self._fail(error)
            except BaseException:  # Ctrl-C: an event that is not fully written does not count
                self._truncate()
                raise
            finally:
                self._busy = False

    def _write(self, fd: int, event: AnyEvent, moment: int | None) -> None:
        line = self._chain.line(event, moment)
        written = os.write(fd, line)
        while written < len(line):  # write may be short, as on a disk that is nearly full
            written += os.write(fd, line[written:])
        self._chain.advance(line)
        offset = self._end[0]
        self._end = (offset + len(line), self._chain.length, self._chain.hash)
        if self.on_written is not None:
            self.on_written(event, offset)

    def check(self) -> None:
        """Check at the end of a session that the journal is in place and has its written size.

        Raises:
            JournalError: The journal was changed, or could not be written earlier.
        """
        with self._lock:
            if self._fd is not None:
                try:
                    self._check()
                except JournalLost as error:
                    self._lose(error)
            self._refuse()

    def _check(self, event: AnyEvent | None = None) -> None:
        """Check that the journal file is in place and has the size that was written.

        Args:
            event: The event that is about to be written.

        Raises:
            JournalLost: The file was changed, replaced or removed.
        """
        why = "" if self._fd is None else self._mismatch(self._fd)
        if why:
            when = "at the end of the session"
            if isinstance(event, StepFinished):
                when = f"after step '{event.step}' of {event.recipe}"
            raise JournalLost(f"the journal {self.path} {why}, as was noticed {when}")

    def _lose(self, error: JournalLost) -> NoReturn:
        """Stop writing and raise; the file that replaced the journal stays as it is."""
        self.failed = JournalError(str(error))
        self.close()
        raise self.failed from None

    def _mismatch(self, fd: int) -> str:
        own, written = os.fstat(fd), self._end[0]
        if own.st_size != written:
            return f"has {own.st_size:,} bytes, and {written:,} were written"
        try:
            now = os.stat(self.path)  # noqa: PTH116 - at each step; `Path.stat` takes longer
        except OSError as error:
            return f"was taken away ({_reason(error)})"
        same = (now.st_ino, now.st_dev) == (own.st_ino, own.st_dev)
        return "" if same else "was replaced by another file"

    def _truncate(self) -> None:
        """Truncate the file after the last line that was written completely."""
        size, self._chain.length, self._chain.hash = self._end
        with contextlib.suppress(OSError):
            if self._fd is not None:
                os.ftruncate(self._fd, size)

    def sync(self) -> None:
        """Fsync the journal, so that a power cut loses no event that was appended.

        Raises:
            JournalError: The fsync failed.
        """
        fd = self._fd
        try:
            if fd is not None:
                os.fdatasync(fd)
        except OSError as error:
            with self._lock:
                if self._fd is not None:  # else another thread closed the journal
                    self._fail(error)

    def seal(self, make: Callable[[int], RunFinished]) -> None:
        """Write the line that seals the journal, fsync and close.

        Args:
            make: Makes the last event from the number of lines before it.

        Raises:
            JournalError: The line could not be written.
        """
        with self._lock:
            self.append(make(self._chain.length))
            self.sync()
            self.close()

    def close(self) -> None:
        """Close the journal and release its lock, so that `is_being_written` returns False."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            self._release()

    def abandon(self) -> None:
        """Close the descriptors in a forked child; the parent process continues the journal."""
        self._lock = threading.RLock()
        self.close()

    def _fail(self, error: OSError) -> NoReturn:
        """Remove an incompletely written line, stop writing, and raise."""
        self._truncate()
        self.failed = JournalError(f"the journal {self.path} cannot be written: {_reason(error)}")
        self.close()
        raise self.failed from error

    def _refuse(self) -> None:
        if self.failed is not None:
            raise JournalError(str(self.failed))

    def _release(self) -> None:
        if self._lock_fd is not None:
            os.close(self._lock_fd)
            self._lock_fd = None


def is_being_written(path: Path) -> bool:
    """Return True if a process is writing a journal.

    Args:
        path: The journal.
    """
    try:
        import fcntl

        fd = os.open(path.with_suffix(Path(LOCK).suffix), os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):  # Windows has no fcntl, and writes no journals
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(fd)
    return False


def _acquire(path: Path) -> int:
    import fcntl

    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise OSError(0, "another process writes it") from None
    except OSError:
        os.close(fd)
        raise
    return fd


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


_open: "weakref.WeakSet[Journal]" = weakref.WeakSet()


def _abandon_all() -> None:
    for journal in list(_open):
        journal.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)

_CHUNK: Final = 1 << 20  # a log may have 100 MB, and is not held in memory


def files_of(folder: Path) -> dict[str, str]:
    """Return the paths of all regular files of a run except its journal and lock, sorted.

    Args:
        folder: The folder of the run.

    Returns:
        The absolute paths, by the path in the folder as the journal writes it.
    """
    files = {}
    above = len(f"{folder}/")
    for place, _, names in os.walk(folder):
        for name in names:
            path = f"{place}/{name}"  # a string: a run may have thousands of small logs
            name_in_run = path_text(path[above:])
            with contextlib.suppress(FileNotFoundError):  # removed in the meantime
                if name_in_run not in (NAME, LOCK) and stat.S_ISREG(os.lstat(path).st_mode):
                    files[name_in_run] = path
    return dict(sorted(files.items()))


def sealed_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size in bytes and the SHA-256 of each file that the journal of a run seals."""
    digests = {}
    for name, path in files_of(folder).items():
        with contextlib.suppress(OSError):  # removed in the meantime, or not readable
            digests[name] = digest_of(path)
    return digests


def digest_of(path: str | Path) -> tuple[int, str]:
    """Return the size of a regular file in bytes, and its SHA-256 in hexadecimal.

    Raises:
        OSError: The file cannot be read, or is a link.
    """
    fd = os.open(path, READ_FILE)
    try:
        sha256, size = hashlib.sha256(), 0
        while chunk := os.read(fd, _CHUNK):
            sha256.update(chunk)
            size += len(chunk)
        return size, sha256.hexdigest()
    finally:
        os.close(fd)
