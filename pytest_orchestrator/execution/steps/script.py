"""Shell scripts of a step: their files, and the line that failed.

`sh`, `bash` and `python` receive the script as an argument, every other shell as a file. The
startup file of `bash` sets an ERR trap, which records the line of the command at which `-e` ends
the script, on this and on other machines. The script itself stays unchanged, and so do its line
numbers.
"""

import contextlib
import os
import re
from typing import Final

from pytest_orchestrator.core.text import cut_to_length, lazy_pattern
from pytest_orchestrator.recipe.expressions.command_line import (
    Script,
    commands_of,
    ends_at_failure,
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
