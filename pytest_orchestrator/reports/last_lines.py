"""The last lines of what a failed step logged, with the path of all of it."""

import re
from pathlib import Path

from pytest_orchestrator.core.result import StepResult

_WIDEST = 300
_KEPT_WHOLE = 1 << 16
"""Bytes up to which the text of a stream is all of it."""

_FRAME = re.compile(r'  File "(.*)", line \d+ in \S+')
_OURS = re.compile(r"/(_pytest|pluggy|pytest_orchestrator)/|^<string>$|/xdist/|^<frozen ")
_STACK = re.compile(r"(Current thread|Thread) 0x")


def of_stderr(result: StepResult, root: Path, most: int) -> list[str]:
    """Return the last lines of stderr below a line that tells where all of it is.

    Args:
        result: What became of a step.
        root: The rootdir, which the path is told relative to.
        most: Number of lines that are shown of it.

    Returns:
        Lines; none where the step had no process, or that logged nothing.
    """
    process = result.ended.process if result.ended else None
    if process is None or not process.stderr.text.strip():
        return []
    stream = process.stderr
    lines = stream.text.rstrip("\n").splitlines()
    shown = [_cut(line) for line in _of_the_user(lines)[-most:]]
    if stream.size > _KEPT_WHOLE:
        count = f"last {len(shown)} lines of {stream.size:,} bytes"
    elif len(shown) < len(lines):
        count = f"last {len(shown)} of {len(lines):,} lines"
    else:
        count = f"{len(lines)} line" + ("s" if len(lines) != 1 else "")
    return [f"stderr, {count}{_where(stream.log, root, cut=stream.cut)}", *indented(shown)]


def indented(lines: list[str]) -> list[str]:
    """Return lines two columns further to the right."""
    return [f"  {line}".rstrip() for line in lines]


def _where(log: str | None, root: Path, *, cut: bool) -> str:
    if log is None:
        return ""
    path = Path(log)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"   (all: {shown})" if not cut else f"   (cut: {shown})"


def _of_the_user(lines: list[str]) -> list[str]:
    """Leave out the frames of pytest and of this package that a crash of Python wrote."""
    if not any(_STACK.match(line) for line in lines):
        return lines
    return [
        line for line in lines if not ((frame := _FRAME.match(line)) and _OURS.search(frame[1]))
    ]


def _cut(line: str) -> str:
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"
