"""Lock files: safe opening in a shared folder, owner records, lost attempts.

Other users may put anything into the folder, also a file of this user that they moved there. A
link, a pipe, a second name of some other file, and a file with another content than a record of
an owner are refused before anything is written to them, and the mode of a file is set by the
process alone that has made it.
"""

import contextlib
import fcntl
import os
import re
import stat
import threading
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

from pytest_orchestrator.core.errors import OrchestratorError

VARIABLE: Final = "ORCHESTRATOR_LOCK_DIR"
# Not the user's own: an instrument is there once for all users of the machine.
SHARED: Final = "/tmp/pytest-orchestrator-locks"  # noqa: S108  # see what is refused

_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o666
_PATIENCE: Final = 1.0
_open: Final[dict[int, int]] = {}  # how many tries with it may run on other machines
_lost: Final[dict[int, float]] = {}  # when the last of them that nobody hears of is over
_counting: Final = threading.Lock()

GONE: Final = 30.0
"""Seconds after which nothing of a process that is gone runs on another machine any more."""


class LockError(OrchestratorError):
    """A lock that can be neither had nor waited for: its file cannot be used."""

    slug = "lock"


def default_folder() -> str:
    """Return where locks are: what ``ORCHESTRATOR_LOCK_DIR`` says, else one for all users."""
    return os.environ.get(VARIABLE) or SHARED


def path_of(folder: str, name: str) -> str:
    """Return the path of a lock's file: readable, and another one for each other name."""
    from hashlib import sha256

    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:60]
    digest = sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return os.path.join(folder, f"{readable or 'lock'}-{digest}")


def locked(path: str) -> int | None:
    """Lock a file, which is made where there is none.

    Returns:
        Its descriptor, to be closed by `close`; None where somebody else has it locked, or what
        somebody had it locked for may still run on another machine.

    Raises:
        LockError: The file cannot be used.
    """
    while True:
        fd = None
        try:
            fd = _opened(path)
            _open[fd] = 0
            found = os.fstat(fd)
            _refuse(path, found)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, found) and not _is_half_made(path, fd, found):
                if not is_record(fd):
                    raise _error(path, "it has something else in it than the record of a lock")
                if _is_awaited(fd):
                    return None
                kept, fd = fd, None
                return kept
        except BlockingIOError:
            return None
        except OSError as error:
            raise _error(path, error.strerror or str(error)) from error
        finally:
            if fd is not None:
                close(fd)
        # The file was removed meanwhile, and others lock another one.


def close(fd: int) -> None:
    """Close what `locked` gave; in a fork of this process that is done."""
    with contextlib.suppress(KeyError):
        del _open[fd]
        _lost.pop(fd, None)
        os.close(fd)


def goes_away(fd: int) -> None:
    """Take note that a try begins on another machine, which this process may not outlive."""
    with _counting:
        if fd in _open:
            _open[fd] += 1
            _note_away(fd, is_away=True)


def is_back(fd: int) -> None:
    """Take note that nothing of a try runs there any more."""
    with _counting:
        if fd in _open:
            _open[fd] -= 1
            _note_rest(fd)


def is_lost(fd: int) -> None:
    """Take note that of a try nobody will hear any more: it may run there for some time."""
    with _counting:
        if fd in _open:
            _open[fd] -= 1
            _lost[fd] = time.monotonic() + GONE
            _note_rest(fd)


def left_of_lost(fd: int) -> float:
    """Return for how many seconds a try that was lost may run yet; 0 where none may."""
    with _counting:
        left = _lost.get(fd, 0.0) - time.monotonic()
        if left > 0:
            return left
        if _lost.pop(fd, None) is not None:
            _note_rest(fd)
        return 0.0


def _note_rest(fd: int) -> None:
    """Note, once no try goes on that is heard of, until when one may that was lost."""
    if not _open.get(fd, 1):
        left = _lost.get(fd, 0.0) - time.monotonic()
        _note_away(fd, is_away=left > 0, free_at=time.time() + left if left > 0 else 0.0)


def _note_away(fd: int, *, is_away: bool, free_at: float = 0.0) -> None:
    owner = read_owner(fd)
    if owner is not None:
        write_owner(fd, msgspec.structs.replace(owner, is_away=is_away, free_at=free_at))


def _is_awaited(fd: int) -> bool:
    """Tell of a lock that nobody has whether something of its last owner may run elsewhere."""
    owner = read_owner(fd)
    if owner is None or not owner.is_away:
        return False
    now = time.time()
    if not 0 < owner.free_at <= now + GONE:  # nobody has seen it, or the clock was set back
        owner = msgspec.structs.replace(owner, free_at=now + GONE)
        write_owner(fd, owner)
        return read_owner(fd) == owner  # else the disk takes nothing, and would for ever
    return owner.free_at > now


def _opened(path: str) -> int:
    """Open a file that may not be there yet.

    It is never opened by O_CREAT: in a folder for all users, Linux refuses that for the
    file of another one (fs.protected_regular).
    """
    patience = time.monotonic() + _PATIENCE
    while True:
        try:
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, _OPEN)
            _make(path)
        except PermissionError:
            # Whoever is making it may not have given it its mode yet.
            if time.monotonic() > patience:
                raise
            time.sleep(0.01)


def _make(path: str) -> None:
    folder = os.path.dirname(path)
    _make_folder(folder)
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        fd = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, _MODE)
        try:
            os.fchmod(fd, _MODE)  # the umask had its say
        finally:
            os.close(fd)


def _make_folder(folder: str) -> None:
    if folder != SHARED:
        os.makedirs(folder, exist_ok=True)
        return
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode):
        raise _error(folder, "it is no folder")
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != 0o1777:
        os.chmod(folder, 0o1777)  # noqa: S103  # the umask had its say when it was made


def _is_half_made(path: str, fd: int, found: os.stat_result) -> bool:
    """Remove an empty file whose maker was ended before others could use it; it is made anew.

    Its mode is not widened: it may be a file of another program that is about to write to it. It
    is locked by this process, so no other one has it as a lock.
    """
    is_own = found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _MODE
    if is_own and not os.fstat(fd).st_size:
        os.unlink(path)
        return True
    return False


def _refuse(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        raise _error(path, "it is no plain file, or has another name as well")


def _is_at(path: str, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(found, os.lstat(path))
    except FileNotFoundError:
        return False


def _error(path: str, what: str) -> LockError:
    return LockError(
        f"a lock cannot be had by {path}: {what}; put that right, or name another folder "
        f"by {VARIABLE}, the same for all who share the machine"
    )


def _forget() -> None:
    """Let go, in a fork, of the locks of its parent: they would last as long as it does."""
    for fd in list(_open):
        close(fd)


os.register_at_fork(after_in_child=_forget)

_MOST_TEXT: Final = 4096
_BEGIN: Final = b'{"pid":'
"""How each record begins; `read` is not asked, since a host may have a name that is not shown."""


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who has a lock, as it stands in the lock's file.

    Attributes:
        pid: The process that took it; its lanes may hold it longer.
        host: Name of the machine, which a container has of its own.
        user: Login name, or number where there is none.
        run: Id of the run.
        step: Node id of the step or recipe.
        since: When, in ISO 8601 UTC.
        is_away: Something for which it has it may run on another machine.
        free_at: Until then it may run there, in seconds since the epoch; 0 where nobody knows.
    """

    pid: int
    host: str
    user: str
    run: str
    step: str
    since: str
    is_away: bool = False
    free_at: float = 0.0

    @classmethod
    def here(cls, run: str, step: str) -> "Owner":
        """Describe this process, as the owner from now on."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return cls(os.getpid(), os.uname().nodename, _user(os.geteuid()), run, step, now)

    def age(self) -> float:
        """Return for how many seconds it has been held, by the clock of the wall."""
        return max(time.time() - datetime.fromisoformat(self.since).timestamp(), 0.0)


def write_owner(fd: int, owner: Owner) -> None:
    """Write into a locked file who has it; a full disk does not make it less locked."""
    line = msgspec.json.encode(owner) + b"\n"
    with contextlib.suppress(OSError):
        written = os.pwrite(fd, line, 0)
        os.ftruncate(fd, len(line) if written == len(line) else 0)


def is_record(fd: int) -> bool:
    """Return False for a file that holds something else than what `write` writes.

    An empty file and one of zeros, as a power cut leaves it, hold nothing that could be lost.
    """
    try:
        line = os.pread(fd, _MOST_TEXT, 0)
        return line.startswith(_BEGIN) or (
            not line.strip(b"\0") and os.fstat(fd).st_size == len(line)
        )
    except OSError:
        return False


def read_owner(fd: int) -> Owner | None:
    """Read who has a lock out of its open file, if that can be known."""
    try:
        line = os.pread(fd, _MOST_TEXT, 0).partition(b"\n")[0]
        owner = msgspec.json.decode(line, type=Owner)
        owner.age()
    except (OSError, ValueError, RecursionError):
        return None
    texts = (owner.host, owner.user, owner.run, owner.step)
    return owner if "".join(texts).isprintable() else None


def owner_of(path: str) -> Owner | None:
    """Read who has a lock, if that can be known; any user may have written it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return read_owner(fd)
        finally:
            os.close(fd)
    except OSError:
        return None


def _user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
