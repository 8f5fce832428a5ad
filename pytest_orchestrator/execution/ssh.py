"""What an ssh step starts: the OpenSSH client, and on the far side a shell that runs the command.

The command, its variables and its input go through the connection and not through the command
line of the client, which everybody on this machine can read.
"""

import base64
import functools
import os
import shlex
import sys
from importlib.resources import files
from pathlib import Path
from typing import Final

from pytest_orchestrator.execution.command import compact, stdin_of
from pytest_orchestrator.recipe.model import SshStep

CLIENT: Final = "ssh"
OPTIONS: Final = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20")
"""Nobody is there to be asked for a password."""

_ALIVE: Final = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
_FIRST: Final = (
    """exec /bin/sh -c 'IFS= read -r s; eval "$(printf %s "$s" | base64 -d)"' orchestrator"""
)


def link(role: str) -> tuple[str, ...]:
    """Return the program that keeps a client; see `ssh_link`."""
    return (sys.executable, "-I", "-S", str(Path(__file__).with_name("ssh_link.py")), role)


def argv_of(step: SshStep, socket: Path | None) -> tuple[str, ...]:
    """Return what is started here for a step.

    Args:
        step: The step.
        socket: That of a connection which is there; None is a new one.
    """
    shared = () if socket is None else ("-o", f"ControlPath={socket}", "-o", "ControlMaster=no")
    client = (CLIENT, "-T", *OPTIONS, *_ALIVE, *shared, "--", step.host, _FIRST)
    return (*link("step"), *client)


def master_of(host: str, socket: Path) -> tuple[str, ...]:
    """Return what is started here for the connection that the steps of a host share."""
    shared = ("-o", f"ControlPath={socket}", "-o", "ControlMaster=yes", "-N", "-T")
    return (*link("master"), CLIENT, *OPTIONS, *_ALIVE, *shared, "--", host)


def input_of(step: SshStep, mark: str) -> bytes:
    """Return what the far side is sent: a script in one line, and the input of the command.

    Args:
        step: The step.
        mark: What all its processes bear in their environment.
    """
    data = stdin_of(step.stdin) or b""
    lines = [
        f"mark={mark} size={len(data)} dir={shlex.quote(step.cwd or '')}",
        "run() {",
        *_variables(step),
        f'    ORCHESTRATOR_MARK={mark} exec "$@" {_command(step)}',
        "}",
        _far_side(),
    ]
    return base64.b64encode("\n".join(lines).encode()) + b"\n" + data


def alone(step: SshStep) -> str:
    """Return a line that does the same when pasted into a shell."""
    variables = "; ".join(line.strip() for line in _variables(step))
    command = step.cmd if isinstance(step.cmd, str) else shlex.join(step.cmd)
    place = f"cd {shlex.quote(step.cwd)} && " if step.cwd else ""
    far = f"{place}{variables}; {command}" if variables else f"{place}{command}"
    line = shlex.join([CLIENT, step.host, far])
    data = stdin_of(step.stdin)
    return line if data is None else f"printf %s {shlex.quote(data.decode())} | {line}"


def _command(step: SshStep) -> str:
    if isinstance(step.cmd, str):
        return shlex.join(["/bin/sh", "-c", step.cmd])
    return shlex.join(step.cmd)


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
    """Return a mark that no other step has."""
    return os.urandom(12).hex()
