"""Whether a service is ready: what its recipe asks for, looked at again and again.

Nothing is taken for the service's that was there before it was started.
"""

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

from pytest_orchestrator.recipe.ready import Ready

_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_PATIENCE = 0.5  # seconds; this machine answers itself at once
_KEPT = 1 << 20


class Readiness:
    """What has to hold before a service is ready.

    Args:
        ready: What the recipe asks for.
        root: The folder that paths start from.
        stdout: The log of what the service prints.
        matches: Tells whether a pattern matches something in a text.
    """

    def __init__(
        self, ready: Ready, root: Path, stdout: Path, matches: Callable[[str, str], bool]
    ) -> None:
        self._ready = ready
        self._matching = matches
        self._file = root / (ready.file or "")
        self._before = _identity(self._file)
        self._stdout = stdout
        self._read = 0
        self._printed = b""
        self._accepts = self._matches = False

    def unmet(self) -> list[str]:
        """Return what does not hold yet, in words."""
        asked = self._ready
        found = []
        if asked.file is not None and _identity(self._file) in (None, self._before):
            words = "is not there" if self._before is None else "was not written anew"
            found.append(f"file {asked.file} {words}")
        if asked.stdout_matches is not None and not self._has_matched(asked.stdout_matches):
            found.append(f"stdout does not match '{asked.stdout_matches}'")
        if asked.port is not None and not self._has_accepted(asked.port):
            found.append(f"port {asked.port} takes no connection")
        return found

    def _has_matched(self, pattern: str) -> bool:
        if self._matches:
            return True
        with contextlib.suppress(OSError), self._stdout.open("rb") as log:
            log.seek(self._read)
            new = log.read()
            self._read += len(new)
            if new:
                self._printed += new
                text = self._printed.decode("utf-8", "replace").replace("\r\n", "\n")
                self._matches = self._matching(pattern, text)
                self._printed = self._printed[-_KEPT:]
        return self._matches

    def _has_accepted(self, port: int) -> bool:
        # Once it has, it is not asked again: each question is a client to the service.
        self._accepts = self._accepts or any(_accepts(*host, port) for host in _HOSTS)
        return self._accepts


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return what changes when a file is written, None where there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _accepts(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as asking:
            asking.settimeout(_PATIENCE)
            asking.connect((host, port))
            # Where nobody listens the system may connect a socket to itself.
            return bool(asking.getsockname() != asking.getpeername())
    except OSError:
        return False
