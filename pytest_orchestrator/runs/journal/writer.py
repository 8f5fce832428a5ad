"""Journal writer: appends events, fsyncs, seals the run folder.

One process writes it. What cannot be written does not count: who asked for it is told, and
so is everybody after, since a journal with a gap would prove nothing.
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


_AT_END: Final = "at the end of the session"


class JournalLost(JournalError):
    """The journal is not any more what was written."""


class Journal:
    """Appends events to the journal of a run.

    Attributes:
        path: The file.
        failed: Why nothing more can be written; None while all is well.
        wrote: Is told each event that was written, and where its line begins, in bytes.
    """

    def __init__(self, path: Path, chain: Chain | None = None) -> None:
        """Begin a journal, or go on with one.

        Args:
            path: The file; it must not be there yet, unless `chain` is given.
            chain: The end of the journal that is there, as it was read.

        Raises:
            JournalError: It cannot be made, is there already, or another process writes it.
        """
        self.path = path
        self.failed: JournalError | None = None
        self.wrote: Callable[[AnyEvent, int], None] | None = None
        self._chain = chain or Chain()
        self._lock = threading.RLock()
        self._busy = False
        self._later: list[tuple[AnyEvent, int | None]] = []
        self._alive: int | None = None
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        flags |= os.O_CREAT | (os.O_EXCL if chain is None else 0)
        try:
            self._alive = _held(path.with_suffix(Path(LOCK).suffix))
            self._fd: int | None = os.open(path, flags, 0o644)
            size = os.fstat(self._fd).st_size
        except OSError as error:
            self._let_go()
            raise JournalError(f"the journal {path} cannot be made: {_told(error)}") from error
        self._end = (size, self._chain.length, self._chain.hash)
        _open.add(self)

    def append(self, event: AnyEvent, moment: int | None = None) -> None:
        """Write an event; once this returns, a killed process does not lose it.

        Args:
            event: What happened.
            moment: When, in microseconds since the epoch; now where None.

        Raises:
            JournalError: It could not be written, now or earlier.
        """
        with self._lock:
            if self._fd is None:
                self._refuse()
                return
            if self._busy:  # a signal came meanwhile, and who handles it writes
                self._later.append((event, moment))
                return
            self._busy = True
            try:
                if isinstance(event, StepFinished):
                    self._check(f"after step '{event.step}' of {event.recipe}")
                elif isinstance(event, RunFinished):
                    self._check(_AT_END)
                self._write(self._fd, event, moment)
                while self._later:
                    self._write(self._fd, *self._later.pop(0))
            except JournalLost as error:
                self._lose(error)
            except OSError as error:
                self._fail(error)
            except BaseException:  # Ctrl-C: what was not written to its end has not happened
                self._take_back()
                raise
            finally:
                self._busy = False

    def _write(self, fd: int, event: AnyEvent, moment: int | None) -> None:
        line = self._chain.line(event, moment)
        written = os.write(fd, line)
        while written < len(line):  # as on a disk that is nearly full
            written += os.write(fd, line[written:])
        self._chain.wrote(line)
        offset = self._end[0]
        self._end = (offset + len(line), self._chain.length, self._chain.hash)
        if self.wrote is not None:
            self.wrote(event, offset)

    def check(self) -> None:
        """Look at the end of a session whether the journal is still what was written.

        Raises:
            JournalError: It is not, or could not be written earlier.
        """
        with self._lock:
            if self._fd is not None:
                try:
                    self._check(_AT_END)
                except JournalLost as error:
                    self._lose(error)
            self._refuse()

    def _check(self, when: str) -> None:
        """Look whether the file is what was written, and where it was: a step may remove it.

        Raises:
            JournalLost: It is not.
        """
        why = "" if self._fd is None else self._lost(self._fd)
        if why:
            raise JournalLost(f"the journal {self.path} {why}, as was noticed {when}")

    def _lose(self, error: JournalLost) -> NoReturn:
        """Write no more; what is in the place of the journal is left alone."""
        self.failed = JournalError(str(error))
        self.close()
        raise self.failed from None

    def _lost(self, fd: int) -> str:
        own, written = os.fstat(fd), self._end[0]
        if own.st_size != written:
            return f"has {own.st_size:,} bytes, and {written:,} were written"
        try:
            there = self.path.stat()
        except OSError as error:
            return f"was taken away ({_told(error)})"
        same = (there.st_ino, there.st_dev) == (own.st_ino, own.st_dev)
        return "" if same else "was replaced by another file"

    def _take_back(self) -> None:
        """Forget what there may be of a line that was not written to its end."""
        size, self._chain.length, self._chain.hash = self._end
        with contextlib.suppress(OSError):
            if self._fd is not None:
                os.ftruncate(self._fd, size)

    def sync(self) -> None:
        """Let the disk have all that was appended: then a power cut does not lose it either.

        Raises:
            JournalError: It could not.
        """
        fd = self._fd
        try:
            if fd is not None:
                os.fdatasync(fd)
        except OSError as error:
            with self._lock:
                if self._fd is not None:  # else another thread has closed it
                    self._fail(error)

    def seal(self, make: Callable[[int], RunFinished]) -> None:
        """Write the last line, and close.

        Args:
            make: Makes it of the number of lines before it.

        Raises:
            JournalError: It could not be written.
        """
        with self._lock:
            self.append(make(self._chain.length))
            self.sync()
            self.close()

    def close(self) -> None:
        """Write no more, and let others see that nobody does."""
        with self._lock:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None
            self._let_go()

    def abandon(self) -> None:
        """Close what a forked process has of it: only the one that began it writes."""
        self._lock = threading.RLock()
        self.close()

    def _fail(self, error: OSError) -> NoReturn:
        """Take a half-written line back, and write no more."""
        self._take_back()
        self.failed = JournalError(f"the journal {self.path} cannot be written: {_told(error)}")
        self.close()
        raise self.failed from error

    def _refuse(self) -> None:
        if self.failed is not None:
            raise JournalError(str(self.failed))

    def _let_go(self) -> None:
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None


def is_written(path: Path) -> bool:
    """Tell whether a process is writing a journal just now.

    Args:
        path: The journal.
    """
    try:
        import fcntl

        fd = os.open(path.with_suffix(Path(LOCK).suffix), os.O_RDONLY | os.O_CLOEXEC)
    except (ImportError, OSError):  # Windows has no such module, and writes none
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


def _held(path: Path) -> int:
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


def _told(error: OSError) -> str:
    return error.strerror or str(error)


_open: "weakref.WeakSet[Journal]" = weakref.WeakSet()


def _abandon_all() -> None:
    for journal in list(_open):
        journal.abandon()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_abandon_all)

_PIECE: Final = 1 << 20


def sealed_files(folder: Path) -> dict[str, tuple[int, str]]:
    """Return the size in bytes and the SHA-256 of each file, by its path in the folder.

    Args:
        folder: The folder of a run; its journal is not among the files, nor is what is no
            regular file.
    """
    found = {}
    above = len(f"{folder}/")
    for place, _, names in os.walk(folder):
        for name in names:
            # As text, and without a buffer for each: there are thousands of small logs.
            path = f"{place}/{name}"
            told = path_text(path[above:])
            if told not in (NAME, LOCK) and (known := _known(path)):
                found[told] = known
    return dict(sorted(found.items()))


def _known(path: str) -> tuple[int, str] | None:
    try:
        fd = os.open(path, READ_FILE)
    except OSError:  # taken away meanwhile, not ours to read, or a link
        return None
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        digest, size = hashlib.sha256(), 0
        while piece := os.read(fd, _PIECE):
            digest.update(piece)
            size += len(piece)
        return size, digest.hexdigest()
    except OSError:
        return None
    finally:
        os.close(fd)
