"""Who has a lock, as its file says to others."""

import contextlib
import os
import time
from datetime import UTC, datetime
from typing import Final

import msgspec

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


def write(fd: int, owner: Owner) -> None:
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


def read(fd: int) -> Owner | None:
    """Read who has a lock out of its open file, if that can be known."""
    try:
        line = os.pread(fd, _MOST_TEXT, 0).partition(b"\n")[0]
        owner = msgspec.json.decode(line, type=Owner)
        owner.age()
    except (OSError, ValueError, RecursionError):
        return None
    texts = (owner.host, owner.user, owner.run, owner.step)
    return owner if "".join(texts).isprintable() else None


def of(path: str) -> Owner | None:
    """Read who has a lock, if that can be known; any user may have written it."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return read(fd)
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
