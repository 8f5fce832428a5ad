"""Lock files: safe opening in a shared folder, owner records, lost attempts.

Other users may put any file into the folder, even a file of this user that they moved there. A
symbolic link, a pipe, a hard link of another file, and a file whose content is not an owner
record are refused before anything is written to them. Only the process that creates a file sets
its mode.
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

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.core.events import epoch_seconds

VARIABLE: Final = "ORCHESTRATOR_LOCK_DIR"
# One folder for all users, since they share the instruments of the machine.
SHARED: Final = "/tmp/pytest-orchestrator-locks"  # noqa: S108  # unsafe files in it are refused

_OPEN: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_MODE: Final = 0o666
_MODE_PATIENCE: Final = 1.0
# Number of attempts that may run on other machines; the key is the file descriptor.
_remote_counts: Final[dict[int, int]] = {}
# Monotonic time by which the last lost attempt has ended; the key is the file descriptor.
_lost_until: Final[dict[int, float]] = {}
_counts_lock: Final = threading.Lock()

REMOTE_GRACE: Final = 30.0
"""Seconds after the end of a process within which its remote attempts end as well."""


def default_folder() -> str:
    """Return the folder of lock files: ``ORCHESTRATOR_LOCK_DIR``, or the folder for all users."""
    return os.environ.get(VARIABLE) or SHARED


def path_of(folder: str, name: str) -> str:
    """Return the path of a lock's files without suffix: the readable lock name and a digest."""
    from hashlib import sha256

    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._")[:60]
    digest = sha256(name.encode(errors="surrogatepass")).hexdigest()[:16]
    return os.path.join(folder, f"{readable or 'lock'}-{digest}")


def try_lock(path: str) -> int | None:
    """Lock a file without waiting; create the file if it is missing.

    Returns:
        The file descriptor, to be closed by `close`; None if another process holds the lock, or
        if a remote attempt of its last owner may still run.

    Raises:
        LockError: The file cannot be used.
    """
    while True:
        fd = None
        try:
            fd = _open_file(path)
            _remote_counts[fd] = 0
            status = os.fstat(fd)
            _refuse_special_file(path, status)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_same_file(path, status) and not _is_unfinished(path, fd, status):
                if not is_record(fd):
                    raise _error(path, "it has something else in it than the record of a lock")
                if _may_run_remotely(fd):
                    return None
                locked_fd, fd = fd, None
                return locked_fd
        except BlockingIOError:
            return None
        except OSError as error:
            raise _error(path, error.strerror or str(error)) from error
        finally:
            if fd is not None:
                close(fd)
        # The file was removed in between, so other processes would lock another file.


def close(fd: int) -> None:
    """Close a descriptor that `try_lock` returned, which releases the lock in this process.

    A fork of this process closes its own copies when it starts.
    """
    with contextlib.suppress(KeyError):
        del _remote_counts[fd]
        _lost_until.pop(fd, None)
        os.close(fd)


def remote_attempt_started(fd: int) -> None:
    """Record in a lock file that an attempt starts on another machine.

    The attempt may outlive this process.
    """
    with _counts_lock:
        if fd in _remote_counts:
            _remote_counts[fd] += 1
            _write_remote_state(fd, is_away=True)


def remote_attempt_ended(fd: int) -> None:
    """Record in a lock file that an attempt on another machine has ended."""
    with _counts_lock:
        if fd in _remote_counts:
            _remote_counts[fd] -= 1
            _write_remote_end(fd)


def remote_attempt_lost(fd: int) -> None:
    """Record in a lock file that an attempt was lost and may run `REMOTE_GRACE` seconds more."""
    with _counts_lock:
        if fd in _remote_counts:
            _remote_counts[fd] -= 1
            _lost_until[fd] = time.monotonic() + REMOTE_GRACE
            _write_remote_end(fd)


def seconds_lost_attempt_may_run(fd: int) -> float:
    """Return the seconds for which a lost attempt may still run; 0 if none may run."""
    with _counts_lock:
        left = _lost_until.get(fd, 0.0) - time.monotonic()
        if left > 0:
            return left
        if _lost_until.pop(fd, None) is not None:
            _write_remote_end(fd)
        return 0.0


def _write_remote_end(fd: int) -> None:
    """Write the time by which the last lost attempt has ended, unless other attempts still run."""
    if not _remote_counts.get(fd, 1):
        left = _lost_until.get(fd, 0.0) - time.monotonic()
        _write_remote_state(fd, is_away=left > 0, free_at=time.time() + left if left > 0 else 0.0)


def _write_remote_state(fd: int, *, is_away: bool, free_at: float = 0.0) -> None:
    owner = read_owner(fd)
    if owner is not None:
        write_owner(fd, msgspec.structs.replace(owner, is_away=is_away, free_at=free_at))


def _may_run_remotely(fd: int) -> bool:
    """Return True if a remote attempt of the last owner of a free lock may still run."""
    owner = read_owner(fd)
    if owner is None or not owner.is_away:
        return False
    now = time.time()
    # The owner was killed and the waiting time has not started, or the clock was set back.
    if not 0 < owner.free_at <= now + REMOTE_GRACE:
        owner = msgspec.structs.replace(owner, free_at=now + REMOTE_GRACE)
        write_owner(fd, owner)
        return read_owner(fd) == owner  # if the disk is full, the wait would never end
    return owner.free_at > now


def _open_file(path: str) -> int:
    """Open a lock file, and create it if it is missing.

    An existing file is never opened with O_CREAT: in a folder for all users, Linux refuses O_CREAT
    for the file of another user (fs.protected_regular).
    """
    deadline = time.monotonic() + _MODE_PATIENCE
    while True:
        try:
            with contextlib.suppress(FileNotFoundError):
                return os.open(path, _OPEN)
            _make(path)
        except PermissionError:
            # The process that creates the file may not have set its mode yet.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _make(path: str) -> None:
    folder = os.path.dirname(path)
    _make_folder(folder)
    with contextlib.suppress(FileExistsError, FileNotFoundError):
        fd = os.open(path, _OPEN | os.O_CREAT | os.O_EXCL, _MODE)
        try:
            os.fchmod(fd, _MODE)  # the umask may have removed bits
        finally:
            os.close(fd)


def _make_folder(folder: str) -> None:
    if folder != SHARED:
        os.makedirs(folder, exist_ok=True)
        return
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode):
        raise _error(folder, "it is no folder")
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != 0o1777:
        os.chmod(folder, 0o1777)  # noqa: S103  # the umask may have removed bits


def _is_unfinished(path: str, fd: int, status: os.stat_result) -> bool:
    """Remove an empty file whose creator ended before setting the mode; return True if removed.

    The caller then creates the file again.

    The mode is not set instead, since the file may belong to another program, which is about to
    write to it. This process has locked the file, so no other process uses it as a lock.
    """
    is_own = status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) != _MODE
    if is_own and not os.fstat(fd).st_size:
        os.unlink(path)
        return True
    return False


def _refuse_special_file(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise _error(path, "it is no plain file, or has another name as well")


def _is_same_file(path: str, status: os.stat_result) -> bool:
    try:
        return os.path.samestat(status, os.lstat(path))
    except FileNotFoundError:
        return False


def _error(path: str, what: str) -> LockError:
    return LockError(
        f"a lock cannot be had by {path}: {what}; put that right, or name another folder "
        f"by {VARIABLE}, the same for all who share the machine"
    )


def _close_all_in_fork() -> None:
    """Close the descriptors of all locks in a new fork, which would otherwise keep them locked."""
    for fd in list(_remote_counts):
        close(fd)


os.register_at_fork(after_in_child=_close_all_in_fork)

_MOST_TEXT: Final = 4096
_RECORD_START: Final = b'{"pid":'
"""Start of each owner record. `read_owner` is too strict: it refuses unprintable host names."""


class Owner(msgspec.Struct, frozen=True, omit_defaults=True):
    """Owner record in a lock file.

    Attributes:
        pid: The process that acquired the lock; its lanes may hold the lock longer.
        host: Name of the machine; a container has its own.
        user: Login name, or the user id if it has no name.
        run: Id of the run.
        step: Node id of the step or recipe.
        since: Time of the acquisition, in ISO 8601 UTC.
        is_away: True if an attempt that uses the lock may run on another machine.
        free_at: Latest time at which that attempt ends, in seconds since the epoch; 0 if unknown.
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
        """Return a record that names this process as the owner from now on."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        return cls(os.getpid(), os.uname().nodename, _user(os.geteuid()), run, step, now)

    def age(self) -> float:
        """Return for how many seconds the lock has been held, by the wall clock."""
        return max(time.time() - epoch_seconds(self.since), 0.0)


def write_owner(fd: int, owner: Owner) -> None:
    """Write the owner record into a locked file; errors such as a full disk are ignored."""
    line = msgspec.json.encode(owner) + b"\n"
    with contextlib.suppress(OSError):
        written = os.pwrite(fd, line, 0)
        os.ftruncate(fd, len(line) if written == len(line) else 0)


def is_record(fd: int) -> bool:
    """Return True if a file starts like an owner record, is empty or contains zeros only.

    A power cut may leave a file that is empty or contains zeros only.
    """
    try:
        line = os.pread(fd, _MOST_TEXT, 0)
        return line.startswith(_RECORD_START) or (
            not line.strip(b"\0") and os.fstat(fd).st_size == len(line)
        )
    except OSError:
        return False


def read_owner(fd: int) -> Owner | None:
    """Return the owner record of an open lock file, or None if the file has no valid record."""
    try:
        line = os.pread(fd, _MOST_TEXT, 0).partition(b"\n")[0]
        owner = msgspec.json.decode(line, type=Owner)
        owner.age()
    except (OSError, ValueError, RecursionError):
        return None
    texts = (owner.host, owner.user, owner.run, owner.step)
    return owner if "".join(texts).isprintable() else None


def owner_of(path: str) -> Owner | None:
    """Return the owner record in the lock file at a path; None if it cannot be read.

    Any user may have written the record.
    """
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
