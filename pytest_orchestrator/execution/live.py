"""Copies a step's output to a terminal as it comes, without ever waiting for it.

A terminal that a person has stopped, or a pipe that nobody reads, would else hold up the
lane, and with it the deadline of the step.
"""

from __future__ import annotations

import os
import select
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_orchestrator.core.secret_stream import SecretStream

_PIECE = 4096
_BACKLOG = 1 << 16


class Live:
    """A copy of one stream.

    Args:
        fd: Where it goes; closed at the end.
        secrets: Masks what is copied; None where nothing is secret.
    """

    def __init__(self, fd: int, secrets: SecretStream | None = None) -> None:
        self._fd = _unblocked(fd)
        self._secrets = secrets
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)
        self._waiting = b""

    @property
    def full(self) -> bool:
        """True where the step itself has to wait until the copy is taken, as at a terminal."""
        self.feed(b"")
        return len(self._waiting) >= _BACKLOG

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, and write what can be written now."""
        self._waiting += chunk if self._secrets is None else self._secrets.feed(chunk)
        try:
            while self._waiting and self._poll.poll(0):
                self._waiting = self._waiting[os.write(self._fd, self._waiting[:_PIECE]) :]
        except BlockingIOError:
            pass
        except OSError:  # nobody will ever read it
            self._waiting = b""

    def close(self) -> bytes:
        """Stop, and return what was not taken yet."""
        if self._secrets is not None:
            self._waiting += self._secrets.end()
        self.feed(b"")
        os.close(self._fd)
        return self._waiting


def _unblocked(fd: int) -> int:
    """Return a descriptor of one's own: not blocking is a property that its sharers share."""
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
        return fd
    try:
        own = os.open(
            f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        )
    except OSError:
        return fd
    os.close(fd)
    return own
