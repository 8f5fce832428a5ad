"""Shared connections of OpenSSH to other machines, for `ssh` steps."""

import contextlib
import re
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.core.text import printable

if TYPE_CHECKING:
    import subprocess
    import tempfile

CLIENT: Final = "ssh"
OPTIONS: Final = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20")
"""OpenSSH options: no prompts, since no user can type a password, and 20 s to connect."""

KEEP_ALIVE: Final = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")

_CONNECT_TIMEOUT: Final = 60.0
"""Seconds in which a connection must be established; OpenSSH itself gives up earlier."""
_MAX_STDERR: Final = 4096


class SshConnections:
    """Shared connections to hosts, opened when a step needs one and closed with the session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._masters: dict[str, subprocess.Popen[bytes]] = {}

    def to(self, host: str) -> Path | Failure:
        """Connect to a host unless a connection is open; return the control socket or the failure.

        Args:
            host: The name of the host for OpenSSH and its configuration.
        """
        with self._lock:
            try:
                socket = self._socket(host)
            except OSError as error:
                return Failure(kind="not_found", reason=f"ssh cannot be started: {error}")
            if self._is_up(host):
                return socket
            return self._connected(host, socket)

    def is_lost(self, host: str) -> bool:
        """Return True if no shared connection to a host is open."""
        with self._lock:
            return not self._is_up(host)

    def close(self) -> None:
        """Close all shared connections and remove their sockets."""
        with self._lock:
            for master in self._masters.values():
                self._end(master)
            self._masters.clear()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def _socket(self, host: str) -> Path:
        if self._folder is None:
            from pytest_orchestrator.core.files import private_folder

            # OpenSSH appends to the name while it creates the socket, and socket paths are short.
            self._folder = private_folder()
        return Path(self._folder.name, re.sub(r"\W", "_", host)[:20])

    def _is_up(self, host: str) -> bool:
        master = self._masters.get(host)
        return master is not None and master.poll() is None and self._socket(host).exists()

    def _connected(self, host: str, socket: Path) -> Path | Failure:
        import subprocess
        import tempfile

        old = self._masters.pop(host, None)
        if old is not None:
            self._end(old)
        socket.unlink(missing_ok=True)
        with tempfile.TemporaryFile() as stderr:
            try:
                master = subprocess.Popen(
                    master_of(host, socket),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    start_new_session=True,
                )
            except OSError as error:
                return Failure(kind="not_found", reason=f"ssh cannot be started: {error.strerror}")
            deadline = time.monotonic() + _CONNECT_TIMEOUT
            while not socket.exists() and master.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    master.wait(0.01)
            if socket.exists() and master.poll() is None:
                self._masters[host] = master
                return socket
            self._end(master)
            stderr.seek(0)
            return refused(host, printable(stderr.read(_MAX_STDERR)))

    def _end(self, master: "subprocess.Popen[bytes]") -> None:
        import subprocess

        assert master.stdin is not None  # noqa: S101  # it is a pipe
        with contextlib.suppress(OSError):
            master.stdin.close()
        try:
            master.wait(5)
        except subprocess.TimeoutExpired:
            master.kill()
            master.wait()


_CURES: Final = {
    r"Host key verification failed|No .* host key is known": (
        "its host key is not known, or is another one than before",
        "compare it with the one of the machine, and connect once by hand: ssh {host}",
    ),
    r"Permission denied": (
        "it accepts none of the keys of this machine",
        "a step cannot be asked for a password: ssh-copy-id {host}",
    ),
    r"Could not resolve hostname": (
        "the host name is not known",
        "see HostName in ~/.ssh/config",
    ),
    r"Connection refused|timed out|No route to host|Network is unreachable": (
        "it does not answer",
        "try by hand: ssh {host} true",
    ),
}


def refused(host: str, stderr: str) -> Failure:
    """Return the failure of a step whose host cannot be reached.

    Args:
        host: The host.
        stderr: The messages of OpenSSH.
    """
    lines = [line for line in stderr.replace("\r", "").splitlines() if line.strip("@ ")]
    head, last = f"no connection to {host}", lines[-1] if lines else "ssh said nothing"
    for pattern, (why, cure) in _CURES.items():
        if re.search(pattern, stderr):
            messages = (f"ssh: {line.removeprefix('ssh: ')}" for line in lines[-3:])
            detail = (*messages, cure.format(host=host))
            return Failure(kind="not_found", reason=f"{head}: {why}", detail=detail)
    return Failure(kind="not_found", reason=f"{head}: {last.removeprefix('ssh: ')}")


def link(role: str) -> tuple[str, ...]:
    """Return the leading words of a command that runs an OpenSSH client under `ssh_link`."""
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("ssh_link.py")), role)


def master_of(host: str, socket: Path) -> tuple[str, ...]:
    """Return the command line on this machine by which OpenSSH keeps a shared connection open."""
    shared = ("-o", f"ControlPath={socket}", "-o", "ControlMaster=yes", "-N", "-T")
    return (*link("master"), CLIENT, *OPTIONS, *KEEP_ALIVE, *shared, "--", host)
