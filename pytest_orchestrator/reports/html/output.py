"""Output on a page: ends of logs as numbered lines with times and colours; failure texts."""

import bisect
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from pytest_orchestrator.core.files import READ
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.reports.text import cut, tail

if TYPE_CHECKING:
    from pytest_orchestrator.reports.html.budget import Files
    from pytest_orchestrator.runs.folder import LogFile

_SGR: Final = lazy_pattern(r"\x1b\[([0-9;]*)m")
_HUES: Final = 8
_HEAD: Final = lazy_pattern(r"\S.*:\d+:\d+: ")
_CLOSING: Final = lazy_pattern(r"(?:worker|resources|samples|rerun|command) {2,}\S")
_FRAME: Final = lazy_pattern(r"(?:_ )+_")
_AFTERMATH: Final = lazy_pattern(r"-{3,} \S.*::.* -{3,}")


def coloured(text: str) -> Any:
    """Return a text with its terminal colours as HTML; a text without colours is returned as is.

    Args:
        text: A text whose only control characters are line feeds, tabs, and SGR sequences of a
            terminal, such as ``ESC [1;31m``.
    """
    return _styled(text, {})


def coloured_lines(lines: Sequence[str]) -> Iterator[Any]:
    """Yield lines as `coloured` does; a colour lasts until a later line ends it."""
    style: dict[str, str] = {}
    return (_styled(line, style) for line in lines)


def _styled(text: str, style: dict[str, str]) -> Any:
    """Return a text as HTML; update the style that holds at its beginning to that at its end."""
    if "\x1b" not in text and not style:
        return text
    from markupsafe import Markup, escape

    pieces = ["", *_SGR.split(text)]
    parts: list[Any] = []
    for codes, piece in zip(pieces[::2], pieces[1::2], strict=True):
        if parts:
            _apply(codes, style)
        names = " ".join(style[key] for key in sorted(style))
        one = escape(piece)
        has_style = names and piece
        parts.append(Markup('<span class="{}">{}</span>').format(names, one) if has_style else one)
    return Markup("").join(parts)


def _apply(codes: str, style: dict[str, str]) -> None:
    """Change a style as an SGR sequence does; colours outside of the 16 standard ones are reset."""
    numbers = [int(one) if one else 0 for one in codes[:60].split(";")]
    while numbers:
        code = numbers.pop(0)
        if code == 0:
            style.clear()
        elif code in (1, 3, 4):
            style[f"s{code}"] = f"t{code}"
        elif code in (22, 23, 24):
            style.pop({22: "s1", 23: "s3", 24: "s4"}[code], None)
        elif code in (38, 48):
            ground = "fore" if code == 38 else "back"
            is_known = numbers[:1] == [5] and len(numbers) > 1 and numbers[1] < 2 * _HUES
            number = numbers[1] if is_known else None
            del numbers[: 4 if numbers[:1] == [2] else 2]
            _set(style, ground, number)
        elif code in (39, 49):
            style.pop("fore" if code == 39 else "back", None)
        else:
            ground, start = _GROUNDS.get(code // 10 * 10, ("", 0))
            if ground and code - start < _HUES:
                _set(style, ground, code - start)


_GROUNDS: Final = {
    30: ("fore", 30),
    40: ("back", 40),
    90: ("fore", 90),
    100: ("back", 100),
}
"""Kind and first code of the standard colours, by the tens of their codes."""


def _set(style: dict[str, str], ground: str, number: int | None) -> None:
    if number is None:
        style.pop(ground, None)
    else:
        style[ground] = f"{'f' if ground == 'fore' else 'g'}{number % _HUES}"


def until_errors(text: str) -> str:
    """Return a failure text up to its failed checks: the rest is shown below it in full.

    Args:
        text: The text as `reports.failure` or pytest has made it.
    """
    lines = without_closing(text).split("\n")
    if not _HEAD.match(lines[0]):
        return "\n".join(lines)
    ends = [at for at, line in enumerate(lines) if line.startswith("E   ")]
    return "\n".join(lines[: ends[-1] + 1] if ends else lines)


def without_closing(text: str) -> str:
    """Return a failure text without its figures and commands, and without pytest's own frame."""
    lines = text.strip("\n").split("\n")
    if _HEAD.match(lines[0]):
        return "\n".join(takewhile(lambda line: not _CLOSING.match(line), lines))
    frame = next((at for at, line in enumerate(lines[:8]) if _FRAME.fullmatch(line.strip())), -1)
    if lines[0].startswith(">") and frame >= 0:
        lines = lines[frame + 1 :]
    end = next((at for at, line in enumerate(lines) if _AFTERMATH.fullmatch(line)), len(lines))
    return "\n".join(lines[:end]).strip("\n")


_LEAST: Final = 2_000
"""Bytes from which on the text of a log has numbered lines; shorter ones would be mostly marks."""
_CHUNK: Final = 1 << 20
_LETTERS: Final = {"stdout": "o", "stderr": "e", "log": "l"}
_MOST_MARKS: Final = 200_000


class LogLine(Struct, frozen=True):
    """Line of a log: its time in seconds since the start, empty if it is that of the line above."""

    time: str
    html: Any


class Log(Struct, frozen=True):
    """The end of a log, and a link to its file; both are empty for a file outside of the run.

    Attributes:
        name: stdout, stderr or log.
        path: Path of the file.
        text: The end of the file.
        head: The beginning of a file of which the text is not the whole; may be empty.
        bytes: Size of the file.
        href: Link to the file.
        is_whole: True if the text is the whole file.
        cut: True if the file does not have all of the output.
        anchor: Beginning of the anchors of its lines; their numbers follow.
        first: Number of the first line of the text in the file.
        lines: The lines of the text; empty for a short text, which has no numbers.
    """

    name: str
    path: str
    text: str
    head: str
    bytes: int
    href: str
    is_whole: bool
    cut: bool
    anchor: str
    first: int
    lines: list[LogLine]

    @property
    def width(self) -> int:
        """Digits of the largest number of a line."""
        return len(str(self.first + len(self.lines)))

    @property
    def last_time(self) -> float:
        """Time of its last line in seconds since the start; 0 if it is not known."""
        return max((float(one.time) for one in self.lines if one.time), default=0.0)

    @property
    def is_timed(self) -> bool:
        """True if the time of a line is known."""
        return any(one.time for one in self.lines)


def logs(files: "Files", found: "Mapping[str, LogFile]", most: int, anchor: str) -> Iterator[Log]:
    """Yield the logs of an attempt.

    Args:
        files: The files of the run.
        found: The log files by stream.
        most: Bytes shown of each; 0 reads none.
        anchor: Beginning of the anchors of their lines, unique on the page.
    """
    for name, log in found.items():
        path, href = files.path_and_href(log.file)
        end = tail(path, most) if path and most else None
        text, whole, head = (end.text, end.is_whole, end.head) if end else ("", False, "")
        first = 1
        lines: list[LogLine] = []
        if path and end and most >= _LEAST and "\n" in text.rstrip("\n"):
            first, lines = _lines(path, text, end.size, is_whole=whole)
        yield Log(
            name,
            cut(log.file.recorded_path, 200),
            text,
            head,
            log.size,
            href,
            whole,
            log.cut,
            f"{anchor}{_LETTERS.get(name, 'x')}",
            first,
            lines,
        )


def _lines(path: str, text: str, size: int, *, is_whole: bool) -> tuple[int, list[LogLine]]:
    """Return the number of the first line of the end of a file, and its lines.

    Args:
        path: The file.
        text: Its end, which begins with a line.
        size: Bytes of the file of which the text is the end.
        is_whole: True if the text is the whole file.
    """
    pieces = text.split("\n")
    if not pieces[-1]:
        del pieces[-1]
    marks = _marks(f"{path}.times")
    if is_whole and not marks:
        return 1, [LogLine("", one) for one in coloured_lines(pieces)]
    starts, number = _starts(path, size, len(pieces))
    times = _times(marks, starts)
    shown = coloured_lines(pieces)
    return number - len(pieces) + 1, [
        LogLine(time, one) for time, one in zip(times, shown, strict=True)
    ]


def _starts(path: str, size: int, last: int) -> tuple[list[int], int]:
    """Return the offsets of the last lines of a file, and the number of its lines.

    Args:
        path: The file.
        size: Bytes that are read of it.
        last: Number of the lines.
    """
    starts, count, offset, ends_line = [0], 0, 0, False
    try:
        fd = os.open(path, READ)
    except OSError:
        return [0] * last, last
    try:
        while offset < size and (chunk := os.read(fd, min(_CHUNK, size - offset))):
            found = chunk.count(b"\n")
            count += found
            at = len(chunk)
            places = []
            for _ in range(min(found, last + 1)):
                at = chunk.rfind(b"\n", 0, at)
                places.append(offset + at + 1)
            starts = (starts + places[::-1])[-last - 1 :]
            offset += len(chunk)
            ends_line = chunk.endswith(b"\n")
    except OSError:
        return [0] * last, last
    finally:
        os.close(fd)
    if ends_line:
        del starts[-1]
    else:
        count += 1
    starts = starts[-last:]
    return [starts[0]] * (last - len(starts)) + starts, count


def _marks(path: str) -> list[tuple[int, int]]:
    """Return offsets and milliseconds of a file of times; empty if there is none."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  # called for each log
            rows = [row.split() for row in file.read(_MOST_MARKS * 16).split(b"\n")]
    except OSError:
        return []
    marks = [(0, 0)]
    marks += [
        (int(row[0][:15]), int(row[1][:15]))
        for row in rows
        if len(row) == 2 and row[0].isdigit() and row[1].isdigit()
    ]
    return marks if len(marks) > 1 and marks == sorted(marks) else []


def _times(marks: list[tuple[int, int]], starts: list[int]) -> list[str]:
    """Return the time of each line, empty if it is that of the line before."""
    if not marks:
        return [""] * len(starts)
    offsets = [offset for offset, _ in marks]
    times, before = [], ""
    for start in starts:
        time = f"{marks[bisect.bisect_right(offsets, start) - 1][1] / 1000:.1f}"
        times.append("" if time == before else time)
        before = time
    return times
