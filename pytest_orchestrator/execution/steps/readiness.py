"""Readiness probe of a background service.

Files and output from before the start of a service do not make it ready.
"""

import base64
import contextlib
import io
import socket
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from pytest_orchestrator.recipe.model.options import Ready

_HTTP_TIMEOUT = 5.0  # seconds for an answer
_MAX_ANSWER = 1 << 16
_HOSTS = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
_CONNECT_TIMEOUT = 0.5  # seconds; a connection to this machine takes far less
_MAX_TEXT = 1 << 20  # bytes of stdout that are searched again


class ReadinessProbe:
    """Readiness probe of a service: file, stdout, port and HTTP.

    Args:
        ready: The conditions in the recipe.
        root: The folder to which paths are relative.
        stdout: The log of the service's stdout.
        matches: Returns True if a pattern matches in a text.
        left: Returns the seconds that are left for readiness.
    """

    def __init__(
        self,
        ready: Ready,
        root: Path,
        stdout: Path,
        matches: Callable[[str, str], bool],
        left: Callable[[], float],
    ) -> None:
        self._left = left
        self._ready = ready
        self._search = matches
        self._file = root / (ready.file or "")
        self._before = _identity(self._file)
        self._stdout = stdout
        self._offset = 0
        self._text = b""
        self._has_connected = self._has_match = self._has_answered = False

    def unmet(self) -> list[str]:
        """Check the conditions; return those that do not hold yet, as text."""
        ready = self._ready
        unmet = []
        if ready.file is not None and _identity(self._file) in (None, self._before):
            words = "is not there" if self._before is None else "was not written anew"
            unmet.append(f"file {ready.file} {words}")
        if ready.stdout_matches is not None and not self._has_matched(ready.stdout_matches):
            unmet.append(f"stdout does not match '{ready.stdout_matches}'")
        if ready.port is not None and not self._has_accepted(ready.port):
            unmet.append(f"port {ready.port} takes no connection")
        if ready.http is not None:
            unmet += self._unmet_http(ready.http)
        return unmet

    def _unmet_http(self, http: str | dict[str, Any]) -> list[str]:
        """Send a request; return a text if the server does not answer with a wanted code."""
        if self._has_answered:
            return []
        url = http if isinstance(http, str) else http["url"]
        wanted = "2xx" if isinstance(http, str) else http.get("code", "2xx")
        code = answered_code(url, min(_HTTP_TIMEOUT, self._left()))
        self._has_answered = code is not None and accepts(wanted, code)
        if self._has_answered:
            return []
        shown = _without_secrets(url)
        if code is None:
            return [f"{shown} does not answer"]
        listed = wanted if isinstance(wanted, list) else [wanted]
        return [f"{shown} answers {code}, expected {' or '.join(map(str, listed))}"]

    def _has_matched(self, pattern: str) -> bool:
        if self._has_match:
            return True
        with contextlib.suppress(OSError), self._stdout.open("rb") as log:
            log.seek(self._offset)
            new = log.read()
            self._offset += len(new)
            if new:
                self._text += new
                text = self._text.decode("utf-8", "replace").replace("\r\n", "\n")
                self._has_match = self._search(pattern, text)
                self._text = self._text[-_MAX_TEXT:]
        return self._has_match

    def _has_accepted(self, port: int) -> bool:
        # Each probe is a client of the service, so no probe follows the first connection.
        self._has_connected = self._has_connected or any(_accepts(*host, port) for host in _HOSTS)
        return self._has_connected


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Return modification time, inode and size of a file, to detect writes; None if missing."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _accepts(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as client:
            client.settimeout(_CONNECT_TIMEOUT)
            client.connect((host, port))
            # The system may connect a socket to itself if no program listens on the port.
            return bool(client.getsockname() != client.getpeername())
    except OSError:
        return False


def _without_secrets(url: str) -> str:
    """Return an address without its user, password and parameters, which may be secret."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def accepts(wanted: int | str | list[int | str], code: int) -> bool:
    """Return True if the code of an answer is a wanted one, or of a wanted class such as 2xx."""
    listed = wanted if isinstance(wanted, list) else [wanted]
    return code in listed or f"{code // 100}xx" in listed


def answered_code(url: str, seconds: float) -> int | None:
    """Send a GET request, and return the code of the answer; None if there is no answer.

    Redirects are not followed, and any certificate is accepted. An answer counts only if it is
    complete; of a large one, the first 64 KiB are read.

    Args:
        url: The address, with `http` or `https`.
        seconds: The time limit for the answer.
    """
    import http.client  # with ssl, which takes longer to import than a step takes to run

    until, parts = time.monotonic() + seconds, urlsplit(url)
    limit = max(0.01, seconds)
    host = str(parts.hostname)
    if parts.scheme == "https":
        import ssl

        context = ssl._create_unverified_context()  # noqa: S323, SLF001 - as the docs say
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, parts.port, timeout=limit, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, parts.port, timeout=limit)
    path = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
    try:
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Connection": "close", **_credentials(parts)})
            return _code_of(connection.sock, until)
    except (OSError, http.client.HTTPException, ValueError):
        return None


def _credentials(parts: SplitResult) -> dict[str, str]:
    """Return the header for the user and the password of an address; empty without them."""
    if parts.username is None:
        return {}
    user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": f"Basic {base64.b64encode(user.encode()).decode()}"}


def _code_of(connection: socket.socket, until: float) -> int | None:
    """Read an answer; return its code, or None if it is not complete at the deadline or its end."""
    received, piece = b"", b"any"
    while piece and len(received) < _MAX_ANSWER:
        left = until - time.monotonic()
        if left <= 0:
            return None
        connection.settimeout(left)
        piece = connection.recv(1 << 14)
        received += piece
        if b"\r\n\r\n" in received or b"\n\n" in received:
            code = _code_of_whole(received, is_end=not piece)
            if code is not None:
                return code
    return None


def _code_of_whole(received: bytes, *, is_end: bool) -> int | None:
    """Return the code of an answer with a complete head; None if bytes of its body are missing."""
    from http.client import HTTPResponse, IncompleteRead

    source: Any = SimpleNamespace(makefile=lambda _mode: io.BytesIO(received))
    answer = HTTPResponse(source, method="GET")
    answer.begin()
    if len(received) >= _MAX_ANSWER:
        return answer.status
    try:
        answer.read()
    except IncompleteRead:
        return None
    return answer.status if is_end or answer.chunked or answer.length is not None else None
