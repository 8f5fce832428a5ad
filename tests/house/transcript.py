"""Pages with commands and their output: the commands are run, and the output is compared."""

import os
import re
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

# On CI pytest does not shorten lines.
_CI_VARIABLES = ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS")
_PART = re.compile(
    r"<!-- (run|start|write)(?:: (\S+))? -->\n```\w+\n(.*?)```\n"
    r"|<!-- (edit): (\S+): (.*? -> .*?) -->\n",
    re.DOTALL,
)
_RUN = re.compile(r"\d{8}T\d{6}Z(?:-(?:[A-Za-z0-9-]{1,16}-)?[0-9a-f]{12}|-[0-9a-f]{1,11})?")


class Part(NamedTuple):
    """A command that is run, or started in the background; a file that is written; or an edit."""

    kind: str
    path: str
    text: str


def parts(page: Path) -> list[Part]:
    """Return the parts of a page, in order."""
    matches = _PART.finditer(page.read_text(encoding="utf-8"))
    return [Part(one[1] or one[4], one[2] or one[5] or "", one[3] or one[6]) for one in matches]


def without(text: str) -> str:
    """Return the text of a page without its parts."""
    return _PART.sub("", text)


def normal(line: str) -> str:
    """Return a line without its variable parts: times, sizes, ids, lengths of rules."""
    line = re.sub(r"([=_!-])\1{2,}", r"\1\1\1", line.rstrip()).replace("≤ ", "")
    line = re.sub(r" \(user .*?\)|, (peak|read|wrote) \S+ MB|, \d+ processes", "", line)
    line = re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d \| ", "TIME | ", line)
    line = re.sub(r"served at \S+:\d+", "served at ADDRESS", line)
    line = re.sub(r"^monitor of \S+: http:\S+:\d+/\?token=\S+", "monitor of RUNS: LINK", line)
    line = re.sub("^run  +", "run  ", _RUN.sub("RUN", line))  # ids of one second are longer
    line = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.]{8,15}Z", "TIME", line)
    line = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", line)
    line = re.sub(r"\s+(\d+\.\d+|-)(?=\s|$)|\d+\.\d+ ?s\b", " N", line)
    return re.sub(r"( N)+", " N", line)


def pattern(shown: str) -> re.Pattern[str]:
    """Return the pattern of an output: the lines shown, with `…` for any number of others."""
    lines = [normal(line) for line in shown.splitlines()]
    regex = "".join("(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in lines)
    return re.compile(regex)


def output(command: str, folder: Path, env: Mapping[str, str]) -> str:
    """Run a command line; return its stdout, each line normalised by `normal`."""
    with _started(command, folder, env) as process:
        assert process.stdout is not None
        return "".join(f"{normal(line)}\n" for line in process.stdout.read().splitlines())


def _started(command: str, folder: Path, env: Mapping[str, str]) -> "subprocess.Popen[str]":
    ours = {name: value for name, value in os.environ.items() if name not in _CI_VARIABLES}
    return subprocess.Popen(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**ours, "COLUMNS": "80", **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
    )


def play(
    page: Path, folder: Path, env: Mapping[str, str], instead: Mapping[str, str] | None = None
) -> int:
    """Execute the parts of a page, and compare the output of its commands.

    Args:
        page: The page.
        folder: Working directory of the commands.
        env: Environment variables of the commands.
        instead: Replacements of commands that would take long, by the command in the page.

    Returns:
        The number of commands that were run.
    """
    number = 0
    with ExitStack() as stack:
        for part in parts(page):
            if part.kind in ("run", "start"):
                _play(part, folder, env, instead or {}, stack)
                number += 1
            else:
                _change_file(part, folder / part.path)
    return number


def _change_file(part: Part, path: Path) -> None:
    if part.kind == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(part.text, encoding="utf-8")
    else:
        old, _, new = part.text.partition(" -> ")
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))


def _play(
    part: Part, folder: Path, env: Mapping[str, str], instead: Mapping[str, str], stack: ExitStack
) -> None:
    command, _, shown = part.text.removeprefix("$ ").partition("\n")
    command = instead.get(command, command)
    if part.kind == "run":
        seen = output(command, folder, env)
    else:  # runs until the end of the page
        process = stack.enter_context(_started(f"exec {command}", folder, env))
        stack.callback(process.kill)
        assert process.stdout is not None
        seen = normal(process.stdout.readline()) + "\n"
    assert pattern(shown).fullmatch(seen), f"$ {command}\n{seen}"
