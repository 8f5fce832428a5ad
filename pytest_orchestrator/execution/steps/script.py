"""Shell scripts of a step: their files, and the line that failed.

`sh`, `bash` and `python` receive the script as an argument, every other shell as a file. The
startup file of `bash` sets an ERR trap, which records the line of the command at which `-e` ends
the script. The script itself stays unchanged, and so do its line numbers.
"""

import contextlib
import os
import re
import shlex
from typing import Final

from pytest_orchestrator.core.text import cut_to_length
from pytest_orchestrator.recipe.analysis.shell_script import (
    Script,
    commands_of,
    ends_at_failure,
    runs_as_shell,
)
from pytest_orchestrator.recipe.model.step import ShellStep, SshStep

SCRIPT: Final = "{script}"
"""Placeholder in reports for the path of the script, which is removed at the end of the step."""

MISSING: Final = "orchestrator: the shell {} was not found"
"""Last line of stderr if the shell of an `ssh` step is missing on the other machine."""

_STARTUP: Final = """\
trap 'case $- in *e*) { echo $LINENO >|%s; } 2>/dev/null || :;; esac' ERR
unset BASH_ENV
"""
_MESSAGE: Final = re.compile(r"(?:\S*/)?(?:ba|da|k|z)?sh: (?:line )?(\d+): (.*)")
_FILE_MESSAGE: Final = re.compile(
    r"(/(?:.*/)?(?:[^/]+\.script|tmp\.\w+))(?:: ?(?:line )?|\[)(\d+)\]?: (.*)"
)
"""Pattern for a message of a shell that reads its script from a file; it begins with its path."""

_SYNTAX: Final = re.compile(r"(?i)syntax error")
_NOT_FOUND: Final = re.compile(r"not found|[Pp]ermission denied|No such file")
_FRAME: Final = re.compile(r'^ *File "<string>", line (\d+)', re.MULTILINE)
_VALUE: Final = re.compile(r'"?\$\{RECIPE_VALUE_\d+\}"?')
_CLOSING: Final = frozenset({")", "}", "fi", "done", "esac"})
_MAX_WIDTH: Final = 80


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
        if step.shell is None or isinstance(step, SshStep) or not isinstance(step.cmd, str):
            return argv, variables
        if isinstance(step.shell, tuple):
            path = self._write(step.cmd)
            return (*argv[:-1], path), variables
        if step.shell == "bash" and _has_lines(step.cmd) and not variables.get("BASH_ENV"):
            line = shlex.quote(f"{self._base}.line")
            startup = self._write(_STARTUP % line.replace("'", "'\\''"))
            return argv, {**variables, "BASH_ENV": startup}
        return argv, variables

    def _write(self, text: str) -> str:
        path = f"{self._base}.script"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with open(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
            self._made += [path, f"{self._base}.line"]
            file.write(text)
        return path

    def line(self) -> int | None:
        """Return the number of the line at which `-e` ended the script; None if not recorded."""
        if not self._made:
            return None
        with contextlib.suppress(OSError, ValueError), open(self._made[-1]) as file:
            return int(file.read(20))
        return None

    def remove(self) -> None:
        """Remove the files of the attempt; ignore errors."""
        for path in self._made:
            with contextlib.suppress(OSError):
                os.unlink(path)


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
        recorded: The line that the shell recorded; None if it recorded none.
    """

    def __init__(
        self, step: ShellStep, code: int | None, stderr: str, recorded: int | None
    ) -> None:
        self._cmd = step.cmd if isinstance(step.cmd, str) else ""
        self._shell = "sh" if step.shell is None else step.shell
        self._number = None
        # bash prints the line of the script below the message.
        self._is_read = not _SYNTAX.search("\n".join(stderr.rstrip().splitlines()[-2:]))
        is_known = isinstance(self._shell, str) or runs_as_shell(self._shell)
        if self._cmd and is_known:
            self._number = recorded or self._line_in_message(code, stderr.rstrip())

    @property
    def text(self) -> str:
        """The number and text of the line; empty if it is unknown or the script has one line."""
        lines = self._cmd.splitlines()
        if self._number is None or not _has_lines(self._cmd) or self._number > len(lines):
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
        if script is None or len(script.commands) < 2 or _ends_itself(script):
            return ()
        effect = "ended by -e: no command runs after one that fails"
        needs_bash = self._shell == "sh" and _has_lines(self._cmd)
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


def _has_lines(cmd: str) -> bool:
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
