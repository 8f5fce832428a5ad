"""Address and token of a Context server, and the sockets that it listens on."""

import contextlib
import errno
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.core import files
from pytest_orchestrator.core.errors import OrchestratorError

ADDRESS: Final = "ORCHESTRATOR_ADDRESS"
TOKEN: Final = "ORCHESTRATOR_TOKEN"  # noqa: S105  # the name of a variable
FILE: Final = ".orchestrator/server.json"
CONNECT_SECONDS: Final = 10.0
"""Seconds to wait for a connection to an address."""
_CURE: Final = "start one by `pytest-orchestrator serve`, or `pytest --recipe-serve`"


class ServerAddress(NamedTuple):
    """Address and token of a Context server.

    Attributes:
        address: ``host:port``, or the path of a Unix socket.
        token: The token.
        origin: Source of the address, for messages; may be empty.
    """

    address: str
    token: str
    origin: str = ""

    def connected(self, patience: float = CONNECT_SECONDS) -> socket.socket:
        """Connect to the server and return the socket, which blocks without a timeout.

        Args:
            patience: Seconds to wait for a TCP connection.

        Raises:
            ContextUnreachable: No server listens at the address, or the address is invalid.
        """
        shown = f"{self.address}{self.origin and f' ({self.origin})'}"
        try:
            if "/" in self.address:
                return _connected_to_path(self.address)
            host, port = _host_and_port(self.address)
            link = socket.create_connection((host, port), timeout=patience)
        except ValueError:
            raise ContextUnreachable(
                f"{shown} is no address; write host:port, or the path of a Unix socket"
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            unreachable = ContextUnreachable(f"no Context is served at {shown}: {reason}; {_CURE}")
            unreachable.errno = error.errno
            raise unreachable from None
        link.settimeout(None)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return link


def find_server(
    address: str | None = None,
    token: str | None = None,
    *,
    environ: Mapping[str, str] = os.environ,
    folder: Path | None = None,
) -> ServerAddress:
    """Return the address and token of the Context server.

    The sources are, in this order: the arguments, the environment, and the file
    ``.orchestrator/server.json``.

    Args:
        address: The address; None if it is not known.
        token: The token; None if it is not known.
        environ: The environment variables.
        folder: Folder that is searched for the file, with all folders above it; default: the
            working directory.

    Raises:
        ContextUnreachable: No source contains an address, or the file is invalid.
    """
    if address is None and ADDRESS in environ:
        env_token = environ.get(TOKEN, "") if token is None else token
        return ServerAddress(environ[ADDRESS], env_token, f"of {ADDRESS}")
    if address is not None and (token is not None or environ.get(ADDRESS) == address):
        return ServerAddress(address, environ.get(TOKEN, "") if token is None else token)
    path = _address_file(Path.cwd() if folder is None else folder)
    from_file = None if path is None else _read(path)
    if from_file is not None and address in (None, from_file.address):
        return from_file if token is None else from_file._replace(token=token)
    if address is not None:
        return ServerAddress(address, environ.get(TOKEN, ""))
    raise ContextUnreachable(
        f"no Context is served: {ADDRESS} is not set, and {FILE} is in no folder from here up; "
        f"{_CURE}; `pytest-orchestrator ctx --run latest` reads the values of a run that has ended"
    )


class AddressFile:
    """File that holds the address and token of a Context server while the server runs.

    Args:
        path: The file; only its owner may read it.
        address: The address.
        token: The token.
    """

    def __init__(self, path: Path, address: str, token: str) -> None:
        self.path = path
        content = {"address": address, "token": token, "pid": os.getpid()}
        self._text = json.dumps(content, indent=2) + "\n"

    def write(self) -> None:
        """Write or replace the file; write a ``.gitignore`` beside it if none exists.

        Raises:
            OSError: The file cannot be written.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        ignored = self.path.with_name(".gitignore")
        if not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
        with files.replacing(self.path, 0o600) as file:
            file.write(self._text.encode())

    def remove(self) -> None:
        """Remove the file, unless another server has replaced it."""
        with contextlib.suppress(OSError, ValueError):
            if self.path.read_text(encoding="utf-8") == self._text:
                self.path.unlink()


def _connected_to_path(path: str) -> socket.socket:
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(path)
    except BaseException:
        link.close()
        raise
    return link


def _host_and_port(address: str) -> tuple[str, int]:
    """Split ``host:port``.

    Raises:
        ValueError: The address has another form.
    """
    host, colon, port = address.rpartition(":")
    number = int(port) if colon and port.isascii() and port.isdigit() else -1
    if not host or number not in range(1, 65536):
        raise ValueError(address)
    return host.removeprefix("[").removesuffix("]"), number


def _address_file(folder: Path) -> Path | None:
    paths = (parent / FILE for parent in (folder, *folder.parents))
    return next((path for path in paths if path.is_file()), None)


def _read(path: Path) -> ServerAddress:
    try:
        content = json.loads(files.text(path))
        return ServerAddress(str(content["address"]), str(content["token"]), f"of {path}")
    except OSError as error:
        raise ContextUnreachable(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError):
        raise ContextUnreachable(
            f"{path} does not say where a Context is served; delete it, and {_CURE}"
        ) from None


_BACKLOG: Final = 1024
_LONGEST_PATH: Final = 107


class CannotListen(OrchestratorError, OSError):
    """Error: a server cannot listen at the requested address."""

    slug = "cannot-listen"


def listen_tcp(host: str, port: int) -> socket.socket:
    """Return a socket that listens at a TCP port.

    Raises:
        CannotListen: The port is in use or not allowed, or the host is not an address of this
            machine.
    """
    place = shown(host, port)
    if port not in range(65536):
        limit = "at least 0" if port < 0 else "at most 65535"
        raise CannotListen(f"cannot serve at {place}: a port is {limit}")
    try:
        # For bytes, Python does not load its codec of international host names.
        name = host.encode("ascii") if host.isascii() else host
        family, kind, number, _, address = socket.getaddrinfo(
            name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise CannotListen(f"cannot serve at {place}: {error}") from None
    listener = socket.socket(family, kind, number)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot serve at {place}: {_reason(error)}") from None
    return listener


def listen_unix(path: Path) -> socket.socket:
    """Return a socket that listens at a Unix socket path; only the owner may connect to it.

    A socket file at which no process listens any more is replaced.

    Raises:
        CannotListen: The path is in use or too long, or its folder does not exist.
    """
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise CannotListen(
            f"cannot serve at {path}: the path of a socket has at most {_LONGEST_PATH} bytes"
        )
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_listening(path):
            path.unlink()
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"cannot serve at {path}: {_reason(error)}") from None
    return listener


def address(listener: socket.socket) -> str:
    """Return the address of a listening socket in the form that `find_server` accepts."""
    name = listener.getsockname()
    return name if isinstance(name, str) else shown(name[0], name[1])


def shown(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def close_listener(listener: socket.socket) -> None:
    """Stop listening, in forks that share the socket too; remove the file of a Unix socket."""
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    if listener.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):
            Path(listener.getsockname()).unlink()
    listener.close()


def _is_listening(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
        return caller.connect_ex(str(path)) == 0


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "something else listens there; end it, or take another port (0 is any free one)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no such address is on this machine"
    return error.strerror or str(error)


class ContextUnreachable(OrchestratorError, ConnectionError):
    """Error: the process that holds the Context cannot be reached."""

    slug = "context-unreachable"
