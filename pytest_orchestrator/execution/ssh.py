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

from pytest_orchestrator.execution.command import (
    compact,
    far_argv_of,
    for_file,
    stdin_of,
    takes_file,
    with_script,
)
from pytest_orchestrator.execution.script import MISSING
from pytest_orchestrator.recipe.command_line import needs_shell
from pytest_orchestrator.recipe.step_types import SshStep

CLIENT: Final = "ssh"
OPTIONS: Final = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=20")
"""Nobody is there to be asked for a password."""

_ALIVE: Final = ("-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=4")
_FIRST: Final = (
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
"""Gives a shell that is a list of words the script as a file, and ends as that does."""


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
        *_found(step),
        f'    ORCHESTRATOR_MARK={mark} exec "$@" {_command(step)}',
        "}",
        _far_side(),
    ]
    return base64.b64encode("\n".join(lines).encode()) + b"\n" + data


def alone(step: SshStep) -> str:
    """Return a line that does the same when pasted into a shell."""
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


def _found(step: SshStep) -> list[str]:
    """Return the lines that end the step where its shell is not there."""
    if step.shell in (None, "sh") or not isinstance(step.cmd, str):
        return []
    shell = far_argv_of(step.cmd, step.shell)[0]
    said = shlex.quote(MISSING.format(shell))
    return [f"    command -v {shlex.quote(shell)} >/dev/null || {{ echo {said} >&2; exit 127; }}"]


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
