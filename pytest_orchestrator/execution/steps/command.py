"""Command line, environment and input of a shell step, their launcher, and the limits of exec.

A command line without shell syntax is executed directly, as make does, unless a shell is named. The
path of its program is relative to the rootdir, whatever the working directory of the command is.
"""

import contextlib
import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Final

import msgspec

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Failure, Process, Resources, Stream
from pytest_orchestrator.core.text import cut_to_length, lazy_pattern
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.lanes.messages import CommandResult, stream, usage
from pytest_orchestrator.recipe.expressions.command_line import (
    Script,
    commands_of,
    ends_at_failure,
    needs_shell,
    runs_as_shell,
)
from pytest_orchestrator.recipe.model.step import ShellStep

SCRIPT: Final = "{script}"
"""Placeholder in reports for the path of the script, which is removed at the end of the step."""

MISSING: Final = "orchestrator: the shell {} was not found"
"""Last line of stderr if the shell of an `ssh` step is missing on the other machine."""

STARTUP: Final = """\
_orchestrator_lines=$BASH_ENV.lines
unset BASH_ENV
case $BASH_VERSION in [34].* | 5.0.*) _orchestrator_first=1;; *) _orchestrator_first=0;; esac
set -E
trap 'case $- in *e*) _orchestrator_code=$? _orchestrator_line=$LINENO _orchestrator_depth=0; \
while case ${FUNCNAME[_orchestrator_depth]+in }${BASH_SOURCE[_orchestrator_depth]-} in \
"" | "in environment" | "in $0") false;; esac; do \
_orchestrator_line=${BASH_LINENO[_orchestrator_depth]}; \
_orchestrator_depth=$((_orchestrator_depth + 1)); done; \
_orchestrator_line=$((_orchestrator_line + _orchestrator_first)); \
{ echo "$_orchestrator_code $BASH_SUBSHELL $_orchestrator_line" >>"$_orchestrator_lines"; } \
2>/dev/null || :;; esac' ERR
"""
"""Startup file of `bash`: at each command at which `-e` ends a shell, the trap adds a line to the
file `$BASH_ENV.lines`, which has the exit code, the number of subshells around the command, and the
line of the script. A line of a sourced file is that of the command that calls its code. The source
of a function of the script is `environment` up to bash 5.2 and `$0` from 5.3. Bash 3.2 knows
neither source nor line in a function: there too, the line is that of the call. Up to 5.0, bash
counts the lines of the script from 0. The trap is one line, because `LINENO` counts its line
breaks."""

RECORD: Final = "orchestrator: -e: "
"""Begin of the last line of stderr by which the other machine sends the lines of the trap."""

_RECORD: Final = lazy_pattern(re.escape(RECORD) + r"((?:\d+ \d+ \d+;)+)\n?\Z")
_MESSAGE: Final = lazy_pattern(r"(?:\S*/)?(?:ba|da|k|z)?sh: (?:line )?(\d+): (.*)")
_FILE_MESSAGE: Final = lazy_pattern(
    r"(/(?:.*/)?(?:[^/]+\.script|tmp\.\w+))(?:: ?(?:line )?|\[)(\d+)\]?: (.*)"
)
"""Pattern for a message of a shell that reads its script from a file; it begins with its path."""

_SYNTAX: Final = lazy_pattern(r"(?i)syntax error")
_NOT_FOUND: Final = lazy_pattern(r"not found|[Pp]ermission denied|No such file")
_COLOUR: Final = r"(?:\x1b\[[\d;]*m)*"
_FRAME: Final = lazy_pattern(
    rf'^ *File {_COLOUR}"<string>"{_COLOUR}, line {_COLOUR}(\d+)', re.MULTILINE
)
"""Pattern for a line of a traceback; since Python 3.13 it has colours if `FORCE_COLOR` is set."""
_VALUE: Final = lazy_pattern(r'"?\$\{RECIPE_VALUE_\d+\}"?')
_CLOSES: Final = lazy_pattern(r"\s*(?:\)|\}|(?:fi|done|esac)\b)")
_CLOSING: Final = frozenset({")", "}", "fi", "done", "esac"})
_MAX_WIDTH: Final = 80
_MAX_RECORD: Final = 64 * 1024


class ScriptFiles:
    """Temporary files that a shell needs for the script of one attempt.

    Args:
        step: The step.
        base: The path prefix of the files.
    """

    def __init__(self, step: ShellStep, base: str) -> None:
        self._step = step
        self._base = base
        self._made: list[str] = []

    def prepare(
        self, argv: tuple[str, ...], variables: dict[str, str]
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """Write the files that the shell needs; return its arguments and environment variables.

        Raises:
            OSError: A file cannot be written.
        """
        step = self._step
        if step.shell is None or not isinstance(step.cmd, str):
            return argv, variables
        if isinstance(step.shell, tuple):
            path = self._write(step.cmd)
            return (*argv[:-1], path), variables
        if step.shell == "bash" and has_lines(step.cmd) and not variables.get("BASH_ENV"):
            return argv, {**variables, "BASH_ENV": self._write(STARTUP)}
        return argv, variables

    def _write(self, text: str) -> str:
        path = f"{self._base}.script"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            self._made += [path, f"{path}.lines"]
            file.write(text)
        return path

    def ends(self) -> str:
        """Return the lines that the trap of `bash` wrote; empty if it wrote none."""
        if not self._made:
            return ""
        with contextlib.suppress(OSError, ValueError), open(self._made[-1]) as file:
            return file.read(_MAX_RECORD)
        return ""

    def remove(self) -> None:
        """Remove the files of the attempt; ignore errors."""
        for path in self._made:
            with contextlib.suppress(OSError):
                os.unlink(path)


def without_record(stderr: str) -> tuple[str, str]:
    """Split the stderr of another machine into that of the command and the lines of the trap."""
    record = _RECORD.search(stderr)
    if record is None:
        return stderr, ""
    return stderr[: record.start()], record[1].replace(";", "\n")


def _recorded_line(ends: str, lines: list[str]) -> int | None:
    """Return the line at which `-e` ended a script; None if the record does not say it.

    The last line of a subshell or loop says less than the line within it, which is recorded before.

    Args:
        ends: The lines that the trap wrote.
        lines: The lines of the script.
    """
    try:
        records = [tuple(map(int, one.split())) for one in ends.splitlines()]
        status, depth, line = records.pop()
    except (ValueError, IndexError):
        return None
    if depth > 0:  # a subshell was ended, and the script continued
        return None
    while records and records[-1][1] > depth and records[-1][0] == status:
        if not 0 < line <= len(lines) or not _CLOSES.match(lines[line - 1]):
            break
        _, depth, line = records.pop()
    return line


def last_message(step: ShellStep, stderr: str) -> str:
    """Return the last line of stderr, in which the shell's name replaces the script's path."""
    line = stderr.strip().rpartition("\n")[2]
    if not isinstance(step.shell, tuple) or not runs_as_shell(step.shell):
        return line
    message = _FILE_MESSAGE.fullmatch(line)
    return line if message is None else f"{step.shell[0]}: line {message[2]}: {message[3]}"


class FailingLine:
    """Line at which a script failed, known from the shell's record or its last message.

    Args:
        step: The step, whose command has failed.
        code: The exit code of the command.
        stderr: The last lines of its stderr.
        ends: The lines that the trap of `bash` wrote; empty if it wrote none.
    """

    def __init__(self, step: ShellStep, code: int | None, stderr: str, ends: str) -> None:
        self._cmd = step.cmd if isinstance(step.cmd, str) else ""
        self._shell = "sh" if step.shell is None else step.shell
        self._number = None
        # bash prints the line of the script below the message.
        self._is_read = not _SYNTAX.search("\n".join(stderr.rstrip().splitlines()[-2:]))
        is_known = isinstance(self._shell, str) or runs_as_shell(self._shell)
        if self._cmd and is_known:
            recorded = _recorded_line(ends, self._cmd.splitlines())
            self._number = recorded or self._line_in_message(code, stderr.rstrip())

    @property
    def text(self) -> str:
        """The number and text of the line; empty if it is unknown or the script has one line."""
        lines = self._cmd.splitlines()
        if self._number is None or not has_lines(self._cmd) or self._number > len(lines):
            return ""
        line = _VALUE.sub("${{ … }}", lines[self._number - 1].strip())
        if line in _CLOSING:  # bash names the last line of a compound command
            return ""
        return f"line {self._number} of cmd: {cut_to_length(line, _MAX_WIDTH)}"

    @property
    def detail(self) -> tuple[str, ...]:
        """Lines that explain the effect of the shell option `-e`; empty without a known effect."""
        listed = isinstance(self._shell, tuple)
        if not self._cmd or not self._is_read or not (listed or self._shell in ("sh", "bash")):
            return ()
        if listed and not (self.text and ends_at_failure(tuple(self._shell))):
            return ()
        script = commands_of(self._cmd)
        if self.text:
            is_last = script is not None and not _has_line_after(script, self._number or 0)
            at = f"ended by -e at line {self._number}"
            return () if is_last else (f"{at}: the lines after it did not run",)
        if script is None or _ends_itself(script):
            return ()
        if sum(not one.piped for one in script.commands) < 2:  # one pipeline
            return ()
        effect = "ended by -e: no command runs after one that fails"
        needs_bash = self._shell == "sh" and has_lines(self._cmd)
        return (effect, "`shell: bash` names the line") if needs_bash else (effect,)

    def _line_in_message(self, code: int | None, stderr: str) -> int | None:
        """Return the line number in the shell's last message; None if it names no failing line."""
        if self._shell == "python":
            frames = _FRAME.findall(stderr)
            return int(frames[-1]) if frames and code == 1 else None
        last = stderr.rpartition("\n")[2]
        pattern = _MESSAGE if isinstance(self._shell, str) else _FILE_MESSAGE
        message = pattern.fullmatch(last)
        if message is None:
            return None
        number, text = message.groups()[-2:]
        is_missing = bool(_NOT_FOUND.search(text))
        # Another exit code shows that a later command ended the script.
        fits = code in (126, 127) if is_missing else code == 2
        return int(number) if fits else None


def has_lines(cmd: str) -> bool:
    """Return True if a command line has several lines."""
    return "\n" in cmd.strip()


def _has_line_after(script: Script, number: int) -> bool:
    return any(one.line > number for one in script.commands)


def _ends_itself(script: Script) -> bool:
    """Return True if a command of the script may end the script or switch `-e` off."""
    own = ("exit", "exec", "return", "kill")
    return any(
        one.program in own or (one.program == "set" and "+e" in one.words)
        for one in script.commands
    )


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
