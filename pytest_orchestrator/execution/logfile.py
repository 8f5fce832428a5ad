"""One output stream of a step: its log on disk, its first and last bytes at hand.

Memory stays flat whatever the volume; what the disk does not take is counted all the same.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytest_orchestrator.core.secret_stream import SecretStream

EDGE = 1 << 15
"""Bytes of the beginning and of the end that are kept at hand."""


class LogFile:
    """A stream as it comes.

    Args:
        path: Where the log is written, as soon as there is something to write; None is nowhere.
        limit: Bytes of the stream after which the log is cut, with a mark.
        secrets: Masks what is written; None where nothing is secret.
    """

    def __init__(self, path: str | None, limit: int, secrets: SecretStream | None = None) -> None:
        self.size = 0
        self._kept = 0
        self._path = path
        self._limit = limit
        self._secrets = secrets
        self._fd: int | None = None
        self._error: str | None = None
        self._head = b""
        self._tail = b""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes."""
        if self._path is not None and self.size < self._limit and self._error is None:
            logged = chunk[: self._limit - self.size]
            if self._secrets is None:
                self._kept += self._write(logged)
            else:
                masked = self._secrets.feed(logged)
                self._kept += len(logged) if self._write(masked) == len(masked) else 0
        if room := max(0, EDGE - self.size):
            self._head += chunk[:room]
        if len(chunk) > room:
            self._tail = (self._tail + chunk[max(room, len(chunk) - EDGE) :])[-EDGE:]
        self.size += len(chunk)

    def close(self) -> dict[str, object]:
        """Finish the log.

        Returns:
            How many bytes there were, how many the log has, the first and the last of them,
            whether the log is cut, what the disk said where it took no more, and what masks
            stand for in it.
        """
        if self._secrets is not None and self._fd is not None:
            self._write(self._secrets.end())
        if cut := self.size > self._limit and self._path is not None:
            self._write(b"\n[cut here: the log is limited to %d bytes]\n" % self._limit)
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
        return {
            "size": self.size,
            "kept": self._kept,
            "cut": cut,
            "head": self._head,
            "tail": self._tail,
            "error": self._error,
            "replaced": [] if self._secrets is None else self._secrets.replaced,
        }

    def _write(self, data: bytes) -> int:
        written = 0
        try:
            if self._fd is None and self._path is not None:
                flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                self._fd = os.open(self._path, flags, 0o666)
            while written < len(data) and self._fd is not None:
                written += os.write(self._fd, data[written:])
        except OSError as error:  # a full disk must not end what the step does
            self._error = error.strerror
        return written
