"""The monitor as a process: an address, a link with a token, and an end without a traceback."""

import secrets
import signal
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.errors import OrchestratorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import IO

    from flask import Flask
    from werkzeug.serving import BaseWSGIServer

PORT: Final = 8050
_TRIES: Final = 50
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
    if show:
        webbrowser.open(link)
    # `shutdown` waits for the loop of the main thread, so another one has to ask for it.
    end = lambda *_: threading.Thread(target=web.shutdown, daemon=True).start()  # noqa: E731
    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    if until is not None:
        threading.Thread(target=lambda: (until.read(), web.shutdown()), daemon=True).start()
    try:
        web.serve_forever(poll_interval=0.1)
    finally:
        for number, action in before.items():
            signal.signal(number, action)
        web.server_close()
        listener.close()
    return 0


def _web(listener: socket.socket, server: "Flask") -> "BaseWSGIServer":
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Quiet(WSGIRequestHandler):
        """Says nothing of each request, whose line would have the token."""

        def log_request(self, *_: object) -> None:
            """Say nothing."""

    host, port = listener.getsockname()[:2]
    return make_server(
        host, port, server, threaded=True, request_handler=Quiet, fd=listener.fileno()
    )


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
