"""SSH step: OpenSSH command line, input and remote script.

The command, its variables and its input are sent through the connection, and not in the command
line of the client, which every user of this machine can read.
"""

import base64
import functools
import os
import shlex
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Failure, Process, Resources, Stream
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes.messages import CommandResult, elsewhere
from pytest_orchestrator.execution.lanes.ssh_connections import CLIENT, KEEP_ALIVE, OPTIONS, link
from pytest_orchestrator.execution.steps.command import (
    MISSING,
    RECORD,
    STARTUP,
    Launch,
    Launcher,
    compact,
    far_argv_of,
    for_file,
    has_lines,
    last_message,
    secret_args,
    stdin_of,
    takes_file,
    with_script,
    without_record,
)
from pytest_orchestrator.recipe.expressions.command_line import needs_shell
from pytest_orchestrator.recipe.model.step import SshStep

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
"""Script that runs a shell given as a list of words; the command is passed to it as a file."""

_BASH: Final = f"""\
startup=$1
shift
[ -z "$BASH_ENV" ] || exec "$@"
folder=$(mktemp -d) || exit 126
trap 'rm -rf "$folder"' EXIT
trap 'exit 143' HUP INT TERM
printf %s "$startup" >"$folder/script" || exit 126
BASH_ENV=$folder/script "$@"
code=$?
if [ "$code" -ne 0 ] && [ -s "$folder/script.lines" ]; then
    echo "{RECORD}$(tail -n 20 "$folder/script.lines" | tr '\\n' ';')" >&2
fi
exit "$code"
"""
"""Script that runs `bash` with the startup file that is passed to it, and sends its record."""


def argv_of(step: SshStep, socket: Path | None) -> tuple[str, ...]:
    """Return the command line on this machine by which OpenSSH runs an `ssh` step.

    Args:
        step: The step.
        socket: The control socket of an open connection; None for a new connection.
    """
    shared = () if socket is None else ("-o", f"ControlPath={socket}", "-o", "ControlMaster=no")
    client = (CLIENT, "-T", *OPTIONS, *KEEP_ALIVE, *shared, "--", step.host, _BOOTSTRAP)
    return (*link("step"), *client)


def input_of(step: SshStep, mark: str) -> bytes:
    """Return the bytes to send to the host: an encoded script line, then the command's input.

    Args:
        step: The step.
        mark: The value of `ORCHESTRATOR_MARK` in the environment of all processes of the step.
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
    if step.shell == "bash" and isinstance(step.cmd, str) and has_lines(step.cmd):
        return shlex.join(["/bin/sh", "-c", _BASH, "orchestrator", STARTUP, *words])
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


class SshLauncher(Launcher):
    """Start of the command of an `ssh` step on its host, and what can be said of its end.

    Args:
        step: The step; if the station has a host of that name, the address of that host is used.
        attempt: The context of the attempt.
    """

    is_here = False
    step: SshStep

    def __init__(self, step: SshStep, attempt: AttemptContext) -> None:
        if step.host in attempt.config.hosts:
            step = msgspec.structs.replace(step, host=attempt.config.hosts[step.host])
        super().__init__(step, attempt)
        self.samples = None  # the program does not run here

    def launch(self) -> Launch | Failure:
        """Connect to the host, and prepare the start; return a failure without a connection."""
        socket = self.attempt.required_slot.ssh_connections.to(self.step.host)
        if isinstance(socket, Failure):
            return msgspec.structs.replace(socket, place=self.step.at["host"])
        process = self.process(argv_of(self.step, socket))
        return Launch(process, self.attempt.variables(), input_of(self.step, new_mark()))

    def process(self, argv: tuple[str, ...] | None = None) -> Process:
        """Return the record of the client before its start, by default that of a new connection."""
        return Process(
            argv=argv or argv_of(self.step, None),
            cwd=str(self.attempt.config.root),
            alone=alone(self.step),
            masked=secret_args(self.step, self.attempt),
        )

    def stderr(self, exited: CommandResult) -> tuple[Stream, str]:
        """Return the stderr of the command, without the lines that the trap of `bash` sent."""
        whole, _ = super().stderr(exited)
        if self.step.shell != "bash" or not exited.code:
            return whole, ""
        text, ends = without_record(whole.text)
        return (msgspec.structs.replace(whole, text=text) if ends else whole), ends

    def usage(self, exited: CommandResult) -> Resources:
        """Return the duration of the command; the host does not say more."""
        return elsewhere(exited)

    def loss(self, exited: CommandResult, wanted: Sequence[Json], stderr: Stream) -> Failure | None:
        """Return the failure of a lost connection, or of a shell that the host does not have."""
        step, code = self.step, exited.code
        is_lost = self.attempt.required_slot.ssh_connections.is_lost
        if code == 255 and code not in wanted and is_lost(step.host):
            return Failure(kind="crash", reason=f"the connection to {step.host} was lost")
        if step.shell is None or code != 127:
            return None
        shell = far_argv_of(step.cmd, step.shell)[0]
        if last_message(step, stderr.text) != MISSING.format(shell):
            return None
        reason = f"shell {shell} was not found on {step.host}"
        return Failure(kind="not_found", reason=reason, place=step.at.get("shell", step.at["cmd"]))
