"""Pages that show commands and what these print: run again, and compared."""

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

# On a machine of CI pytest cuts no line short.
_OF_CI = ("CI", "BUILD_NUMBER", "GITHUB_ACTIONS")
_PART = re.compile(
    r"<!-- (run|write)(?:: (\S+))? -->\n```\w+\n(.*?)```\n"
    r"|<!-- (edit): (\S+): (.*? -> .*?) -->\n",
    re.DOTALL,
)


class Part(NamedTuple):
    """A command that is run, a file that is written, or an edit of one."""

    kind: str
    path: str
    text: str


def parts(page: Path) -> list[Part]:
    """Return the parts of a page, in order."""
    found = _PART.finditer(page.read_text(encoding="utf-8"))
    return [Part(one[1] or one[4], one[2] or one[5] or "", one[3] or one[6]) for one in found]


def without(text: str) -> str:
    """Return the text of a page without its parts."""
    return _PART.sub("", text)


def normal(line: str) -> str:
    """A line without what differs from run to run: times, sizes, ids, lengths of rules."""
    line = re.sub(r"([=_!-])\1{2,}", r"\1\1\1", line.rstrip())
    line = re.sub(r" \(user .*?\)|, (peak|read|wrote) \S+ MB|, \d+ processes", "", line)
    line = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{4}", "RUN", line)
    line = re.sub(r"\d{4}-\d\d-\d\d[ T][\d:.]{8,15}Z", "TIME", line)
    line = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", line)
    line = re.sub(r"\s+(\d+\.\d+|-)(?=\s|$)|\d+\.\d+ ?s\b", " N", line)
    return re.sub(r"( N)+", " N", line)


def pattern(shown: str) -> re.Pattern[str]:
    """Return what an output must match: the lines that are shown, `…` for any number of others."""
    lines = [normal(line) for line in shown.splitlines()]
    told = "".join("(?:.*\n)*?" if line == "…" else re.escape(line) + "\n" for line in lines)
    return re.compile(told)


def output(command: str, folder: Path, env: Mapping[str, str]) -> str:
    """Run a command line; return what it prints to stdout, normal."""
    ours = {name: value for name, value in os.environ.items() if name not in _OF_CI}
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env={**ours, "COLUMNS": "80", **env},
        capture_output=True,
        text=True,
        check=False,
    )
    return "".join(f"{normal(line)}\n" for line in done.stdout.splitlines())


def play(page: Path, folder: Path, env: Mapping[str, str]) -> int:
    """Do what a page says; return how many commands were run and printed what it shows."""
    number = 0
    for part in parts(page):
        path = folder / part.path
        if part.kind == "write":
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(part.text, encoding="utf-8")
        elif part.kind == "edit":
            old, _, new = part.text.partition(" -> ")
            assert old in path.read_text()
            path.write_text(path.read_text().replace(old, new))
        else:
            command, _, shown = part.text.removeprefix("$ ").partition("\n")
            seen = output(command, folder, env)
            assert pattern(shown).fullmatch(seen), f"$ {command}\n{seen}"
            number += 1
    return number
