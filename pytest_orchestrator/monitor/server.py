"""Monitor server: address, access link, shutdown."""

import html
import os
import secrets
import signal
import socket
import sys
import threading
import webbrowser
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.core.errors import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from flask import Flask
    from werkzeug.serving import BaseWSGIServer

PORT: Final = 8050
_TRIES: Final = 50
_MOST_WAITING: Final = 64
"""Connections that have sent no request yet; a browser opens six."""
_HEADERS: Final = 10.0
_ANSWER: Final = 120.0
"""Seconds for the headers of a request, and for its answer."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")


class NoMonitor(OrchestratorError):
    """The monitor cannot be started."""

    slug = "monitor"


def serve(
    base: Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    *,
    show: bool = False,
    until: "IO[bytes] | None" = None,
    told: "Callable[[str], None]" = print,
) -> int:
    """Serve the monitor until Ctrl-C or SIGTERM.

    Args:
        base: The folder that has the runs.
        host: Where to listen; others than the loopback let other machines look.
        port: The port; where it is taken, the next free one.
        show: Open a browser.
        until: It ends where this does, too: whoever started it is gone.
        told: Is given the link.

    Returns:
        How the process exits.

    Raises:
        NoMonitor: Dash is not installed, or nothing can be listened at.
    """
    _look_for_dash()
    token = secrets.token_urlsafe(24)
    listener = _listening(host, port)
    port = listener.getsockname()[1]
    web = _web(listener, _application(base, token, host))
    link = f"http://{_shown(host)}:{port}/?token={token}"
    told(f"monitor of {base}: {link}")
    sys.stdout.flush()
    # `shutdown` waits for the loop of the main thread, so another one has to ask for it.
    end = lambda *_: threading.Thread(target=web.shutdown, daemon=True).start()  # noqa: E731
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    if until is not None:
        threading.Thread(target=_end_with, args=(until.fileno(), web), daemon=True).start()
    try:
        with _open_in_browser(link, base, told) if show else nullcontext():
            web.serve_forever(poll_interval=0.1)
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        web.server_close()
        listener.close()
    return 0


def _end_with(until: int, web: "BaseWSGIServer") -> None:
    """Shut the server down at the end of a file; a buffer's lock would abort an exit before."""
    with suppress(OSError):
        while os.read(until, 4096):
            pass
    web.shutdown()


def _web(listener: socket.socket, server: "Flask") -> "BaseWSGIServer":
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    class Quiet(WSGIRequestHandler):
        """Says nothing of each request, whose line would have the token."""

        timeout = _HEADERS
        server: "Bounded"

        def log_request(self, *_: object) -> None:
            """Say nothing."""

        def run_wsgi(self) -> None:
            """Answer a request that is complete; a page may be large, and its link slow."""
            self.server.has_asked(self.connection)
            self.connection.settimeout(_ANSWER)
            super().run_wsgi()

    class Bounded(ThreadedWSGIServer):
        """Has a thread for each connection, of which few have sent no request yet."""

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._lock = threading.Lock()
            self._waiting: dict[socket.socket, None] = {}

        def process_request(self, request: socket.socket, client_address: Any) -> None:
            """Begin with a connection; where there are too many, the oldest one gives way."""
            with self._lock:
                self._waiting[request] = None
                oldest = next(iter(self._waiting)) if len(self._waiting) > _MOST_WAITING else None
                if oldest is not None:
                    del self._waiting[oldest]
                    with suppress(OSError):  # its thread closes it
                        oldest.shutdown(socket.SHUT_RDWR)
            super().process_request(request, client_address)

        def has_asked(self, request: socket.socket) -> None:
            """Take note that a connection waits for its answer."""
            with self._lock:
                self._waiting.pop(request, None)

        def shutdown_request(self, request: socket.socket) -> None:
            """End a connection."""
            self.has_asked(request)
            super().shutdown_request(request)

    host, port = listener.getsockname()[:2]
    return Bounded(host, port, server, Quiet, fd=listener.fileno())


@contextmanager
def _open_in_browser(link: str, base: Path, told: "Callable[[str], None]") -> "Iterator[None]":
    """Open a browser at a link, whose token no other user sees among its arguments.

    The browser is given a file of this user alone that leads on, which goes at the end.
    """
    path = _leading_page(link, base)
    try:
        if path is None:
            told("no file can be written that leads a browser there: open the link")
        else:
            webbrowser.open(path.resolve().as_uri())
        yield
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def _leading_page(link: str, base: Path) -> Path | None:
    """Write it beside the folder of the runs, else among temporary files; None where it cannot be.

    Browsers that are confined to the home of their user cannot read temporary files.
    """
    name = f".monitor-{secrets.token_hex(8)}.html"
    for path in (base.parent / name, Path(gettempdir(), name)):
        with suppress(OSError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as page:
                page.write(_LEADS_ON.format(html.escape(link)))
            return path
    return None


_LEADS_ON: Final = """<!doctype html>
<meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>monitor</title>
<meta http-equiv="refresh" content="0; url={0}"><a href="{0}">the monitor</a>
"""


def _look_for_dash() -> None:
    try:
        import dash  # noqa: F401
    except ImportError:
        raise NoMonitor(
            "the monitor needs Dash: python -m pip install 'pytest-orchestrator[monitor]'"
        ) from None


def _application(base: Path, token: str, host: str) -> "Flask":
    from pytest_orchestrator.monitor.app import application

    hosts = {*_LOOPBACK} if host in _LOOPBACK else {*_LOOPBACK, *_names(host)}
    return application(base, token, hosts)


def _names(host: str) -> set[str]:
    """Return by which names other machines ask."""
    mine = {socket.gethostname().lower(), socket.getfqdn().lower(), host.lower()}
    if host in ("0.0.0.0", "::"):  # noqa: S104  # asked for, and told
        mine |= {str(info[4][0]) for info in _addresses()}
    return mine


def _addresses() -> list[tuple[int, int, int, str, tuple[object, ...]]]:
    try:
        return socket.getaddrinfo(socket.gethostname(), None)  # type: ignore[return-value]
    except OSError:
        return []


def _listening(host: str, port: int) -> socket.socket:
    """Listen at a port, or at the next one that is free."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for number in range(port, port + _TRIES) if port else (0,):
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno not in (13, 98):
                raise NoMonitor(f"cannot listen at {host}: {error.strerror}") from error
            continue
        return listener
    raise NoMonitor(f"none of the ports {port} to {port + _TRIES - 1} of {host} is free")


def _shown(host: str) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104  # asked for, and told
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
