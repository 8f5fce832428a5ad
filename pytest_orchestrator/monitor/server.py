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
from errno import EACCES, EADDRINUSE
from http import HTTPStatus
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.monitor.live import Ending, ending_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import IO

    from flask import Flask
    from werkzeug.serving import BaseWSGIServer

    from pytest_orchestrator.monitor.station.station import Station

PORT: Final = 8050
_PORTS_SEARCHED: Final = 50
_PORTS: Final = 65536  # a port has 16 bits
_MAX_IDLE_CONNECTIONS: Final = 64
"""Highest number of connections that have sent no request yet; a browser opens six."""
_HEADERS_TIMEOUT: Final = 10.0
_REPLY_TIMEOUT: Final = 120.0
"""Timeouts in seconds for the headers of a request and for sending the reply."""
_LAST_STATE: Final = 2.0
"""Seconds for which the end of the monitor waits for open pages."""
_LOOPBACK: Final = ("127.0.0.1", "localhost", "[::1]")
_ALL_INTERFACES: Final = ("0.0.0.0", "::")  # noqa: S104  # compared only; the user chooses it


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
    report: "Callable[[str], None]" = print,
    station: "Station | None" = None,
) -> int:
    """Serve the monitor until Ctrl-C or SIGTERM.

    Args:
        base: The folder that contains the run folders.
        host: The address to listen at; only an address other than the loopback is reachable
            from other machines.
        port: The port; the next free one if it is in use.
        show: True to open a browser.
        until: A pipe from the process that started the monitor. The server stops at the end of this
            file, because that process has then ended.
        report: Receives the lines with the links.
        station: The station that the operator page operates; None for a monitor.

    Returns:
        The exit code of the process.

    Raises:
        NoMonitor: Flask is not installed, or no port can be opened.
    """
    require_flask()
    token, operating = secrets.token_urlsafe(24), secrets.token_urlsafe(24) if station else None
    listener = _listen(host, port)
    port = listener.getsockname()[1]
    application = _application(base, token, host, operating, station)
    web = _wsgi_server(listener, application)
    link = f"http://{_link_host(host)}:{port}/?token={token}"
    if station is None:
        report(f"monitor of {base}: {link}")
    else:
        report(f"view only: {link}")
        link = f"http://{_link_host(host)}:{port}/operator?token={operating}"
        report(f"station of {station.name}: {link}")
        if host not in _LOOPBACK:
            report(
                "warning: the link is not encrypted: a person who reads the network can operate it"
            )
    sys.stdout.flush()
    # `shutdown` waits for the loop of the main thread, so another thread must call it.
    end = lambda *_: threading.Thread(target=web.shutdown, daemon=True).start()  # noqa: E731
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    if until is not None:
        ending = ending_of(application)
        args = (until.fileno(), web, ending)
        threading.Thread(target=_shut_down_at_eof, args=args, daemon=True).start()
    try:
        with _open_in_browser(link, base, report) if show else nullcontext():
            web.serve_forever(poll_interval=0.1)
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        web.server_close()
        listener.close()
    return 0


def _shut_down_at_eof(until: int, web: "BaseWSGIServer", ending: Ending) -> None:
    """Wait for the end of a file, then until open pages have the last state; shut down."""
    # Not by the buffered reader: its lock, held by this thread, would abort the exit of Python.
    with suppress(OSError):
        while os.read(until, 4096):
            pass
    ending.wait(_LAST_STATE)
    web.shutdown()


def _wsgi_server(listener: socket.socket, server: "Flask") -> "BaseWSGIServer":
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    class Quiet(WSGIRequestHandler):
        """Request handler that logs no requests and their errors; the lines contain the token."""

        timeout = _HEADERS_TIMEOUT
        server: "Bounded"

        def log_request(self, *_: object) -> None:
            """Log nothing."""

        def log_error(self, *_: object) -> None:
            """Log nothing; the error of a malformed request quotes its line."""

        def run_wsgi(self) -> None:
            """Reply to a request, with a longer timeout for a large page on a slow connection."""
            self.server.mark_active(self.connection)
            self.connection.settimeout(_REPLY_TIMEOUT)
            try:
                self.make_environ()
            except ValueError:  # such as a URL with an open bracket
                self.send_error(HTTPStatus.BAD_REQUEST)
                return
            super().run_wsgi()

    class Bounded(ThreadedWSGIServer):
        """Threaded server that limits the connections that have sent no request yet."""

        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._lock = threading.Lock()
            self._idle: dict[socket.socket, None] = {}

        def process_request(self, request: Any, client_address: Any) -> None:
            """Start a connection; close the oldest idle one if there are too many."""
            with self._lock:
                self._idle[request] = None
                oldest = next(iter(self._idle)) if len(self._idle) > _MAX_IDLE_CONNECTIONS else None
                if oldest is not None:
                    del self._idle[oldest]
                    with suppress(OSError):  # its thread closes it
                        oldest.shutdown(socket.SHUT_RDWR)
            super().process_request(request, client_address)

        def mark_active(self, request: socket.socket) -> None:
            """Stop counting a connection as idle, since its request has arrived."""
            with self._lock:
                self._idle.pop(request, None)

        def shutdown_request(self, request: Any) -> None:
            """End a connection, and stop counting it as idle."""
            self.mark_active(request)
            super().shutdown_request(request)

    host, port = listener.getsockname()[:2]
    return Bounded(host, port, server, Quiet, fd=listener.fileno())


@contextmanager
def _open_in_browser(link: str, base: Path, report: "Callable[[str], None]") -> "Iterator[None]":
    """Open a browser at a link without passing the token as an argument.

    Other users can read the arguments of a process. So the browser opens a file that only this
    user can read and that redirects to the link; the file is deleted at the end.
    """
    path = _redirect_page(link, base)
    try:
        if path is None:
            report("cannot write the file that redirects the browser: open the link yourself")
        else:
            webbrowser.open(path.resolve().as_uri())
        yield
    finally:
        if path is not None:
            path.unlink(missing_ok=True)


def _redirect_page(link: str, base: Path) -> Path | None:
    """Write the redirect page next to the folder of the runs, or into the temporary folder.

    The temporary folder is the second choice, since a browser that is confined to the user's
    home cannot read it. Returns the path of the page; None if neither folder is writable.
    """
    name = f".monitor-{secrets.token_hex(8)}.html"
    for path in (base.parent / name, Path(gettempdir(), name)):
        with suppress(OSError):
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as page:
                page.write(_REDIRECT.format(html.escape(link)))
            return path
    return None


_REDIRECT: Final = """<!doctype html>
<meta charset="utf-8"><meta name="referrer" content="no-referrer"><title>monitor</title>
<meta http-equiv="refresh" content="0; url={0}"><a href="{0}">the monitor</a>
"""


def require_flask() -> None:
    """Check that Flask is installed.

    Raises:
        NoMonitor: It is not.
    """
    try:
        import flask  # noqa: F401
    except ImportError:
        raise NoMonitor(
            "the monitor needs Flask: python -m pip install 'pytest-orchestrator[monitor]'"
        ) from None


def _application(
    base: Path, token: str, host: str, operating: str | None, station: "Station | None"
) -> "Flask":
    from pytest_orchestrator.monitor.app import application

    hosts = {*_LOOPBACK} if host in _LOOPBACK else {*_LOOPBACK, *_host_names(host)}
    return application(base, token, hosts, operating, station)


def _host_names(host: str) -> set[str]:
    """Return the host names and addresses under which other machines reach this one."""
    from pytest_orchestrator.monitor.auth import ANY_ADDRESS

    names = {socket.gethostname().lower(), socket.getfqdn().lower(), host.lower()}
    # The addresses of this machine are unknown: its own name is often that of the loopback.
    return names | ({ANY_ADDRESS} if host in _ALL_INTERFACES else set())


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a port, or at the next free port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    numbers = range(port, min(port + _PORTS_SEARCHED, _PORTS)) if port else range(1)
    for number in numbers:
        listener = socket.socket(family)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno not in (EACCES, EADDRINUSE):  # reserved for root, or used
                raise NoMonitor(f"cannot listen at {host}: {error.strerror}") from error
            continue
        return listener
    raise NoMonitor(f"none of the ports {port} to {numbers[-1]} of {host} is free")


def _link_host(host: str) -> str:
    if host in _ALL_INTERFACES:
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host
