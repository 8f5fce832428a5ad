"""Shell scripts of a step: the files they need, and the line that failed.

Shells that have a name are given the script as an argument, any other one as a file. `bash`
records the line of a command that `-e` ends, by an ERR trap that its startup file sets: the
script itself is not touched, so its line numbers are its own.
"""

import contextlib
import os
import re
import shlex
from typing import Final

from pytest_orchestrator.recipe.analysis.shell_script import Script, commands_of
from pytest_orchestrator.recipe.model.step import ShellStep, SshStep

SCRIPT: Final = "{script}"
"""Stands in reports for the path of the script, which is gone once the step has ended."""

MISSING: Final = "orchestrator: the shell {} was not found"
"""Last line of stderr where the other machine of an `ssh` step has no such shell."""

_STARTUP: Final = """\
trap 'case $- in *e*) { echo $LINENO >|%s; } 2>/dev/null || :;; esac' ERR
unset BASH_ENV
"""
_SAID: Final = re.compile(r"(?:\S*/)?(?:ba|da|k|z)?sh: (?:line )?(\d+): (.*)")
_SYNTAX: Final = re.compile(r"(?i)syntax error")
_NOT_FOUND: Final = re.compile(r"not found|[Pp]ermission denied|No such file")
_FRAME: Final = re.compile(r'^ *File "<string>", line (\d+)', re.MULTILINE)
_VALUE: Final = re.compile(r'"?\$\{RECIPE_VALUE_\d+\}"?')
_CLOSING: Final = frozenset({")", "}", "fi", "done", "esac"})
_WIDEST: Final = 80


class ScriptFiles:
    """The files of one attempt.

    Args:
        step: The step.
        base: Beginning of their paths.
    """

    def __init__(self, step: ShellStep, base: str) -> None:
        self._step = step
        self._base = base
        self._made: list[str] = []

    def given(
        self, argv: tuple[str, ...], variables: dict[str, str]
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        """Write what the shell needs; return the words and variables to start it with.

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
        """Return the line that `-e` ended the script at, where the shell recorded it."""
        if not self._made:
            return None
        with contextlib.suppress(OSError, ValueError), open(self._made[-1]) as file:
            return int(file.read(20))
        return None

    def remove(self) -> None:
        """Take the files away."""
        for path in self._made:
            with contextlib.suppress(OSError):
                os.unlink(path)


class FailingLine:
    """The line that ended a script, as far as the shell shows it.

    Args:
        step: The step; its command did not end as wanted.
        code: Its exit code.
        stderr: The end of what it printed to stderr.
        recorded: The line that the shell recorded.
    """

    def __init__(
        self, step: ShellStep, code: int | None, stderr: str, recorded: int | None
    ) -> None:
        self._cmd = step.cmd if isinstance(step.cmd, str) else ""
        self._shell = "sh" if step.shell is None else step.shell
        self._number = None
        # bash shows the line below the message.
        self._is_read = not _SYNTAX.search("\n".join(stderr.rstrip().splitlines()[-2:]))
        if self._cmd and isinstance(self._shell, str):
            self._number = recorded or self._said(code, stderr.rstrip())

    @property
    def text(self) -> str:
        """The number of the line and its text; empty where it is not known, or the only one."""
        lines = self._cmd.splitlines()
        if self._number is None or not _has_lines(self._cmd) or self._number > len(lines):
            return ""
        line = _VALUE.sub("${{ … }}", lines[self._number - 1].strip())
        if line in _CLOSING:  # bash names the last line of a compound command
            return ""
        shown = line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
        return f"line {self._number} of cmd: {shown}"

    @property
    def detail(self) -> tuple[str, ...]:
        """The lines that say what `-e` did; none where it did nothing, or that is not known."""
        if not self._cmd or self._shell not in ("sh", "bash") or not self._is_read:
            return ()
        script = commands_of(self._cmd)
        if self.text:
            is_last = script is not None and not _behind(script, self._number or 0)
            at = f"ended by -e at line {self._number}"
            return () if is_last else (f"{at}: the lines after it did not run",)
        if script is None or len(script.commands) < 2 or _ends_itself(script):
            return ()
        said = "ended by -e: no command runs after one that fails"
        names = self._shell == "sh" and _has_lines(self._cmd)
        return (said, "`shell: bash` names the line") if names else (said,)

    def _said(self, code: int | None, stderr: str) -> int | None:
        """Return the line that the shell names in its last message, if that ended it."""
        if self._shell == "python":
            frames = _FRAME.findall(stderr)
            return int(frames[-1]) if frames and code == 1 else None
        found = _SAID.fullmatch(stderr.rpartition("\n")[2])
        if found is None:
            return None
        is_missing = bool(_NOT_FOUND.search(found[2]))
        # A message of a command that was not the last one has another exit code than its own.
        fits = code in (126, 127) if is_missing else code == 2
        return int(found[1]) if fits else None


def _has_lines(cmd: str) -> bool:
    return "\n" in cmd.strip()


def _behind(script: Script, number: int) -> bool:
    return any(one.line > number for one in script.commands)


def _ends_itself(script: Script) -> bool:
    """Tell whether a script may end by a command of its own, so that it is not known what did."""
    own = ("exit", "exec", "return", "kill")
    return any(
        one.program in own or (one.program == "set" and "+e" in one.words)
        for one in script.commands
    )
