"""Command line, environment and input of a shell step, their launcher, and the limits of exec.

A command line without shell syntax is executed directly, as make does, unless a shell is named. The
path of its program is relative to the rootdir, whatever the working directory of the command is.
"""

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Failure, Process, Resources, Stream
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes.messages import CommandResult, stream, usage
from pytest_orchestrator.execution.steps.script import SCRIPT
from pytest_orchestrator.recipe.expressions.command_line import needs_shell
from pytest_orchestrator.recipe.model.step import ShellStep

SHELL = "/bin/sh"
Shell = str | tuple[str, ...] | None
_HERE = Path()
_SHELLS = {
    "sh": (SHELL, "-e", "-c"),
    "bash": ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"),
    "python": (sys.executable, "-c"),
}
_FAR_SHELLS = {**_SHELLS, "python": ("python3", "-c")}


@lru_cache(maxsize=1024)  # for the report of a step, for its start, and for each attempt
def argv_of(cmd: str | tuple[str, ...], root: Path, shell: Shell = None) -> tuple[str, ...]:
    """Return the argument list that executes a command on this machine.

    Args:
        cmd: A command line, or a list of words that is used as it is.
        root: The folder to which the path of the program is relative.
        shell: The shell that runs a command line; None if the step names none.

    Returns:
        The words; the word `SCRIPT` stands for the path of a file that contains the line.
    """
    words = _words_with_program(cmd, shell)
    if words is None:
        return (*_SHELLS[str(shell or "sh")], str(cmd))
    program = words[0]
    if "/" in program:
        program = os.path.normpath(os.path.join(root, program))
    return (program, *words[1:], *((SCRIPT,) if takes_file(cmd, shell) else ()))


def far_argv_of(cmd: str | tuple[str, ...], shell: Shell) -> tuple[str, ...]:
    """Return the argument list of an `ssh` step's command; a shell runs each command line."""
    if not isinstance(cmd, str):
        return cmd
    if isinstance(shell, tuple):
        return (*shell, SCRIPT)
    return (*_FAR_SHELLS[shell or "sh"], cmd)


def takes_file(cmd: str | tuple[str, ...], shell: Shell) -> bool:
    """Return True if the command is a line that a shell given as a list reads from a file."""
    return isinstance(shell, tuple) and isinstance(cmd, str)


def _words_with_program(cmd: str | tuple[str, ...], shell: Shell) -> tuple[str, ...] | None:
    """Return the words to execute, program first; None if a built-in shell runs the line."""
    if not isinstance(cmd, str):
        return cmd
    if isinstance(shell, tuple):
        return shell
    return None if shell is not None or needs_shell(cmd) else tuple(cmd.split())


def environment_of(args: Mapping[str, Json], base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment variables of a step: ``base``, overridden by the step's ``args``.

    Text is passed as it is, numbers and booleans as JSON, lists and mappings as compact JSON;
    null removes the variable.
    """
    env = dict(base)
    for name, value in args.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value if isinstance(value, str) else compact(value)
    return env


def stdin_of(value: Json) -> bytes | None:
    """Return the bytes for a step's standard input; None if it has no `stdin`."""
    if value is None:
        return None
    return (value if isinstance(value, str) else compact(value)).encode()


def compact(value: Json) -> str:
    """Return a value as JSON text without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def alone(
    cmd: str | tuple[str, ...],
    args: Mapping[str, Json],
    cwd: str | None = None,
    stdin: Json = None,
    shell: Shell = None,
) -> str:
    """Return a shell line by which a user can repeat the command from the rootdir.

    The line neither ends the user's shell nor changes its working directory.
    """
    words = argv_of(cmd, _HERE, shell)
    program = (_words_with_program(cmd, shell) or words)[0]
    if "/" in program and not os.path.isabs(program):
        # relpath costs more than the rest of this function, which runs in each step.
        path = words[0] if cwd is None else os.path.relpath(program, cwd)
        words = (path if "/" in path else f"./{path}", *words[1:])
    is_file = takes_file(cmd, shell)
    line = for_file(words) if is_file else shlex.join(words)
    unset = [f"-u {name}" for name, value in args.items() if value is None]
    assigned = [
        shlex.quote(f"{name}={value if isinstance(value, str) else compact(value)}")
        for name, value in args.items()
        if value is not None
    ]
    if unset or assigned:
        line = " ".join(["env", *unset, *assigned, line])
    if is_file:
        line = with_script(str(cmd), line)
    if stdin is not None:
        line = (
            f"printf %s {shlex.quote(stdin if isinstance(stdin, str) else compact(stdin))} | {line}"
        )
    return f"(cd {shlex.quote(cwd)} && {line})" if cwd is not None else line


def for_file(words: tuple[str, ...]) -> str:
    """Return a shell line of the words; `$f` replaces the last word, the path of the script."""
    return f'{shlex.join(words[:-1])} "$f"'


def with_script(cmd: str, line: str) -> str:
    """Return a shell line that writes ``cmd`` to a temporary file `$f` and then runs ``line``."""
    create = """f=$(mktemp) && trap 'rm -f "$f"' EXIT"""
    return f'({create} && printf %s {shlex.quote(cmd)} >"$f" && {line})'


class Launch(msgspec.Struct, frozen=True):
    """Program, environment variables and input with which a shell step is started.

    Attributes:
        process: The program and its arguments.
        variables: Its environment.
        stdin: Its input; None if it has none.
    """

    process: Process
    variables: dict[str, str]
    stdin: bytes | None


class Launcher:
    """Start of the command of a step on this machine, and what can be said of its end.

    `ssh.SshLauncher` is the launcher for another machine.

    Args:
        step: The step.
        attempt: The context of the attempt.

    Attributes:
        is_here: True if the command is a process of this machine.
        step: The step, as it is started.
        samples: The path of the file for samples of resource usage; None writes no file.
    """

    is_here: ClassVar[bool] = True

    def __init__(self, step: ShellStep, attempt: AttemptContext) -> None:
        self.step = step
        self.attempt = attempt
        self.samples = attempt.samples(step.name)

    def launch(self) -> Launch | Failure:
        """Prepare the start; return a failure if the machine cannot be reached."""
        variables = environment_of(self.step.args, self.attempt.variables())
        return Launch(self.process(), variables, stdin_of(self.step.stdin))

    def process(self) -> Process:
        """Return the record of the program before its start."""
        step, root = self.step, self.attempt.config.root
        return Process(
            argv=argv_of(step.cmd, root, step.shell),
            cwd=os.path.normpath(os.path.join(root, step.cwd or ".")),
            alone=alone(step.cmd, step.args, step.cwd, step.stdin, step.shell),
            masked=secret_args(step, self.attempt),
        )

    def stderr(self, exited: CommandResult) -> tuple[Stream, str]:
        """Return the stderr of the command, and the lines in it that the trap of `bash` wrote."""
        return stream(exited.stderr), ""

    def usage(self, exited: CommandResult) -> Resources:
        """Return the resource usage of the command, as far as this machine knows it."""
        return usage(exited, self.samples)

    def loss(self, exited: CommandResult, wanted: Sequence[Json], stderr: Stream) -> Failure | None:
        """Return the failure of a command that its machine lost or could not start, or None.

        Args:
            exited: The command that ended.
            wanted: The accepted exit codes of the step.
            stderr: The stderr of the command.
        """
        del exited, wanted, stderr  # the start on this machine raises an error
        return None


def secret_args(step: ShellStep, attempt: AttemptContext) -> tuple[str, ...]:
    """Return the names of the step's ``args`` whose values contain secrets."""
    if not step.args:
        return ()
    variables = environment_of(step.args, {})
    secrets = attempt.config.secrets
    secrets.add_environment(variables)
    return tuple(name for name, value in variables.items() if secrets.text(value) != value)


def is_shell(process: Process) -> bool:
    """Return True if the program of a process is a shell, or a script that a shell runs."""
    program = process.argv[0]
    if re.fullmatch(_SHELL_NAME, os.path.basename(program)):
        return True
    try:
        with open(shutil.which(program) or program, "rb") as file:
            line = file.read(_MOST_OF_A_LINE).partition(b"\n")[0].decode("latin-1")
    except OSError:
        return False
    # The kernel runs no text without `#!`: the step gives it to sh, see `execution.steps.shell`.
    return "\0" not in line and (line[:2] != "#!" or bool(re.search(rf"\b{_SHELL_NAME}\b", line)))


_SHELL_NAME = r"(?:ba|da|k|z|a)?sh"
_MOST_OF_A_LINE = 256  # as many bytes of a first line as the kernel reads
_MAX_STRING = 128 * 1024
"""Maximum bytes of one word, or of one variable with its name; both with null byte (Linux)."""

_CURE = "hand it over by stdin"


def failure(step: ShellStep, argv: Sequence[str], env: Mapping[str, str]) -> Failure:
    """Return the failure of a step whose arguments or variables are too large for exec.

    Args:
        step: The step.
        argv: The words of its command.
        env: Its environment.
    """
    sizes = [*_words(step, argv), *_variables(step, env)]
    size, what, key = max(sizes)
    if size + 1 > _MAX_STRING:
        reason = f"{what} has {size:,} bytes; 128 KiB are the most for one: {_CURE}"
    else:
        total = sum(each for each, _, _ in sizes)
        reason = (
            f"arguments and variables of {total:,} bytes are more than the system takes;"
            f" {what} is the largest with {size:,}: {_CURE}"
        )
    return Failure(kind="validation", reason=reason, place=step.at.get(key) or step.at["cmd"])


def _words(step: ShellStep, argv: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    is_line = isinstance(step.cmd, str)
    for number, word in enumerate(argv, start=1):
        what = "the command line" if is_line else f"word {number} of 'cmd'"
        yield len(os.fsencode(word)), what, "cmd"


def _variables(step: ShellStep, env: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    for name, value in env.items():
        size = len(os.fsencode(f"{name}={value}"))
        yield size, f"the variable {name}", "args" if name in step.args else "cmd"
