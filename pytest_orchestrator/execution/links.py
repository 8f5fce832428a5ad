"""Connections to other machines, one for each host, which all steps of a session share."""

import contextlib
import re
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution import ssh
from pytest_orchestrator.execution.printable import shown

if TYPE_CHECKING:
    import subprocess
    import tempfile

_PATIENCE: Final = 60.0
"""Seconds until a connection must be there; OpenSSH itself gives up before."""
_MOST: Final = 4096


class Links:
    """Opens connections when steps need them, and closes them with the session."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._masters: dict[str, subprocess.Popen[bytes]] = {}

    def to(self, host: str) -> Path | Failure:
        """Return the socket of the connection to a host, which is there or is made now.

        Args:
            host: As OpenSSH's configuration knows it.
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
        """Tell whether the connection to a host has ended."""
        with self._lock:
            return not self._is_up(host)

    def close(self) -> None:
        """End all connections."""
        with self._lock:
            for master in self._masters.values():
                self._end(master)
            self._masters.clear()
            if self._folder is not None:
                self._folder.cleanup()
                self._folder = None

    def _socket(self, host: str) -> Path:
        if self._folder is None:
            from pytest_orchestrator.core.opening import private_folder

            # OpenSSH adds to the name while it makes the socket, and sockets have short paths.
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
        with tempfile.TemporaryFile() as told:
            try:
                master = subprocess.Popen(
                    ssh.master_of(host, socket),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=told,
                    start_new_session=True,
                )
            except OSError as error:
                return Failure(kind="not_found", reason=f"ssh cannot be started: {error.strerror}")
            until = time.monotonic() + _PATIENCE
            while not socket.exists() and master.poll() is None and time.monotonic() < until:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    master.wait(0.01)
            if socket.exists() and master.poll() is None:
                self._masters[host] = master
                return socket
            self._end(master)
            told.seek(0)
            return refused(host, shown(told.read(_MOST)))

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
        "it lets nobody in with the keys that are here",
        "a step cannot be asked for a password: ssh-copy-id {host}",
    ),
    r"Could not resolve hostname": (
        "nobody knows that name",
        "see HostName in ~/.ssh/config",
    ),
    r"Connection refused|timed out|No route to host|Network is unreachable": (
        "it does not answer",
        "try by hand: ssh {host} true",
    ),
}


def refused(host: str, told: str) -> Failure:
    """Return the failure of a step whose host cannot be connected to.

    Args:
        host: The host.
        told: What OpenSSH said.
    """
    lines = [line for line in told.replace("\r", "").splitlines() if line.strip("@ ")]
    head, last = f"no connection to {host}", lines[-1] if lines else "ssh said nothing"
    for pattern, (why, cure) in _CURES.items():
        if re.search(pattern, told):
            said = (f"ssh: {line.removeprefix('ssh: ')}" for line in lines[-3:])
            detail = (*said, cure.format(host=host))
            return Failure(kind="not_found", reason=f"{head}: {why}", detail=detail)
    return Failure(kind="not_found", reason=f"{head}: {last.removeprefix('ssh: ')}")
