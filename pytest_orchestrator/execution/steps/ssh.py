"""SSH step: OpenSSH command lines, remote script, shared connections to hosts.

The command, its variables and its input are sent through the connection, and not in the command
line of the client, which every user of this machine can read.
"""

import base64
import contextlib
import functools
import os
import re
import shlex
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.core.text import printable
from pytest_orchestrator.execution.steps.command import (
    compact,
    far_argv_of,
    for_file,
    stdin_of,
    takes_file,
    with_script,
)
from pytest_orchestrator.execution.steps.script import MISSING
from pytest_orchestrator.recipe.expressions.command_line import needs_shell
from pytest_orchestrator.recipe.model.step import SshStep

if TYPE_CHECKING:
    import subprocess
    import tempfile

_CONNECT_TIMEOUT: Final = 60.0
"""Seconds in which a connection must be established; OpenSSH itself gives up earlier."""
_MAX_STDERR: Final = 4096


class Links:
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


CLIENT: Final = "ssh"
OPTIONS: Final = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20")
"""Options without prompts: no user is present to type a password."""

_KEEP_ALIVE: Final = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
_BOOTSTRAP: Final = (
    """exec /bin/sh -c 'IFS= read -r s; eval "$(printf %s "$s" | base64 -d)"' orchestrator"""
)

_SCRIPT: Final = """\
f=$(mktemp) || exit 126
trap 'rm -f "$f"' EXIT
trap 'exit 143' HUP INT TERM
printf %s "$1" >"$f" || exit 126
shift
"$@" "$f"
"""
"""Runs a shell that is a list of words with the script as a file, and exits with its code."""


def link(role: str) -> tuple[str, ...]:
    """Return the leading words of a command that runs an OpenSSH client under `ssh_link`."""
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("ssh_link.py")), role)


def argv_of(step: SshStep, socket: Path | None) -> tuple[str, ...]:
    """Return the command line on this machine by which OpenSSH runs an `ssh` step.

    Args:
        step: The step.
        socket: The control socket of an open connection; None for a new connection.
    """
    shared = () if socket is None else ("-o", f"ControlPath={socket}", "-o", "ControlMaster=no")
    client = (CLIENT, "-T", *OPTIONS, *_KEEP_ALIVE, *shared, "--", step.host, _BOOTSTRAP)
    return (*link("step"), *client)


def master_of(host: str, socket: Path) -> tuple[str, ...]:
    """Return the command line on this machine by which OpenSSH keeps a shared connection open."""
    shared = ("-o", f"ControlPath={socket}", "-o", "ControlMaster=yes", "-N", "-T")
    return (*link("master"), CLIENT, *OPTIONS, *_KEEP_ALIVE, *shared, "--", host)


def input_of(step: SshStep, mark: str) -> bytes:
    """Return the bytes to send to the host: an encoded script line, then the command's input.

    Args:
        step: The step.
        mark: The value of `ORCHESTRATOR_MARK` in the environment of all its processes.
    """
    data = stdin_of(step.stdin) or b""
    lines = [
        f"mark={mark} size={len(data)} dir={shlex.quote(step.cwd or '')}",
        "run() {",
        *_variables(step),
        *_shell_check(step),
        f'    ORCHESTRATOR_MARK={mark} exec "$@" {_command(step)}',
        "}",
        _far_side(),
    ]
    return base64.b64encode("\n".join(lines).encode()) + b"\n" + data


def alone(step: SshStep) -> str:
    """Return a shell line by which a user can repeat the command of an `ssh` step."""
    variables = "; ".join(line.strip() for line in _variables(step))
    words = far_argv_of(step.cmd, step.shell)
    command = shlex.join(words)
    if takes_file(step.cmd, step.shell):
        command = with_script(str(step.cmd), for_file(words))
    elif isinstance(step.cmd, str) and step.shell is None and not needs_shell(step.cmd):
        command = step.cmd
    place = f"cd {shlex.quote(step.cwd)} && " if step.cwd else ""
    far = f"{place}{variables}; {command}" if variables else f"{place}{command}"
    line = shlex.join([CLIENT, step.host, far])
    data = stdin_of(step.stdin)
    return line if data is None else f"printf %s {shlex.quote(data.decode())} | {line}"


def _command(step: SshStep) -> str:
    words = far_argv_of(step.cmd, step.shell)
    if not takes_file(step.cmd, step.shell):
        return shlex.join(words)
    return shlex.join(["/bin/sh", "-c", _SCRIPT, "orchestrator", str(step.cmd), *words[:-1]])


def _shell_check(step: SshStep) -> list[str]:
    """Return the script lines that end the step if its shell is missing on the host."""
    if step.shell in (None, "sh") or not isinstance(step.cmd, str):
        return []
    shell = far_argv_of(step.cmd, step.shell)[0]
    error = shlex.quote(MISSING.format(shell))
    return [f"    command -v {shlex.quote(shell)} >/dev/null || {{ echo {error} >&2; exit 127; }}"]


def _variables(step: SshStep) -> list[str]:
    return [
        f"    unset {name}"
        if value is None
        else f"    export {name}={shlex.quote(value if isinstance(value, str) else compact(value))}"
        for name, value in step.args.items()
    ]


@functools.cache
def _far_side() -> str:
    return (files(__package__) / "ssh_far.sh").read_text(encoding="utf-8")


def new_mark() -> str:
    """Return a new random value for `ORCHESTRATOR_MARK`."""
    return os.urandom(12).hex()
