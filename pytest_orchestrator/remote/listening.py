"""Sockets that listen, and what is told where there can be none."""

import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Final

from pytest_orchestrator.core.errors import OrchestratorError

_BACKLOG: Final = 1024
_LONGEST_PATH: Final = 107


class CannotListen(OrchestratorError, OSError):
    """A Context cannot be served at the address that was asked for."""

    slug = "cannot-listen"


def at(host: str, port: int) -> socket.socket:
    """Listen at a port.

    Raises:
        CannotListen: It is taken, not allowed, or on no address of this machine.
    """
    where = shown(host, port)
    if port not in range(65536):
        raise CannotListen(f"cannot serve at {where}: a port is at most 65535")
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"cannot serve at {where}: {error}") from None
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot serve at {where}: {_why(error)}") from None
    return listener


def at_path(path: Path) -> socket.socket:
    """Listen at a Unix socket, which only its owner may connect to.

    What nobody listens at any more is replaced.

    Raises:
        CannotListen: It is taken, too long, or its folder is not there.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise CannotListen(
            f"cannot serve at {path}: the path of a socket has at most {_LONGEST_PATH} bytes"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _answers(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot serve at {path}: {_why(error)}") from None
    return listener


def address(listener: socket.socket) -> str:
    """Return where a socket listens, as clients write it."""
    name = listener.getsockname()
    return name if isinstance(name, str) else shown(name[0], name[1])


def shown(host: str, port: int) -> str:
    """Write a host and a port in one word."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def close(listener: socket.socket) -> None:
    """Listen no more, in forks neither, and take a Unix socket away."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    if listener.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):
            Path(listener.getsockname()).unlink()
    listener.close()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        return caller.connect_ex(str(path)) == 0


def _why(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "something else listens there; end it, or take another port (0 is any free one)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no such address is on this machine"
    return error.strerror or str(error)
