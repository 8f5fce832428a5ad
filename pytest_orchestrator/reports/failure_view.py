"""Failure texts and errors of recipes as a terminal shows them: in its width, and with colours.

The texts themselves are plain and fit no terminal, because files get them too.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Literal

import msgspec

from pytest_orchestrator.core.location import around
from pytest_orchestrator.core.text import cut_to_width, display_width, lazy_pattern, wrapped
from pytest_orchestrator.reports.terminal.lines import Part, most_of_name
from pytest_orchestrator.reports.text import padded

_ROW: Final = lazy_pattern(r" *(?:\d+|…) \|(?: |$)")
_CARETS: Final = lazy_pattern(r"( +\| )( *)(\^+)")
_HEAD: Final = lazy_pattern(r"(\S.*?):(\d+):(\d+): (.*)")
_ERROR: Final = "E   "
_MIN_WRAPPED: Final = 20
_CHANGES: Final = "context keys written"
_CHANGE_SIGNS: Final = ("  + ", "  - ", "  ~ ", "  … ")
_CHANGE: Final = lazy_pattern(r"  ([+~-] \S+) +(.*)")
_NAME: Final = lazy_pattern(r"(?<=step ')[^']+(?=')")
_EXPECTED: Final = lazy_pattern(
    r"(?<=, )(?:expected|limit|min|max|minimum|maximum|exclusiveM\w+) .*?(?= +\(|;|$)"
    r"|(?<=; )[^;]+ is expected"
    r"|(?<=, which )(['\"]).*?\1(?= does not match)"
    r"|(?<=: no )(?:match of )?(['\"]).*?\2(?= in std\w+, which)"
)
_FAILED: Final = lazy_pattern(r"\d[\d,]*(?: of [\d,]+)? (?:failed|interrupted)")


class _Section(msgspec.Struct, frozen=True):
    """Adjacent lines of one kind.

    Attributes:
        kind: A line with a position, the excerpt of that position, ``E`` lines, changes of the
            Context with their heading, or one other line.
        rows: The lines.
    """

    kind: Literal["head", "excerpt", "errors", "changes", "other"]
    rows: Sequence[str]


def lines(text: str, width: int, *, short: bool = False, wrap: bool = False) -> list[list[Part]]:
    """Return the lines of a failure text or of the error of a recipe for a terminal.

    Excerpts are cut around the position that they mark, names to 40 % of the width. The terminal
    wraps other lines that are too long, so that none of their text is missing.

    Args:
        text: The text.
        width: Available columns.
        short: True to end a failure text after the reason, which follows the first excerpt.
        wrap: True to break lines with a position, and ``E`` lines, between words. Others may be
            commands and paths to copy.
    """
    shown: list[list[Part]] = []
    room = width if wrap and width >= _MIN_WRAPPED else 0
    for section in _sections(text.split("\n")):
        kind, rows = section.kind, section.rows
        if kind == "head":
            shown += _broken(_head(rows[0], width), room, Part(""))
        elif kind == "excerpt":
            shown += _excerpt(rows, width)
        elif kind == "errors":
            for row in rows:
                shown += _broken(_error(row), room, Part(_ERROR, "red"))
            if short:
                break
        elif kind == "changes":
            shown += ([Part(row)] for row in _changes(rows, width))
        else:
            shown.append(_other(rows[0]))
    return shown


def plain(text: str, width: int, *, short: bool = False, wrap: bool = False) -> list[str]:
    """Return the lines of a text without colours; the arguments are those of `lines`."""
    shown = lines(text, width, short=short, wrap=wrap)
    return ["".join(span.text for span in line) for line in shown]


def one_line_each(text: str) -> list[str]:
    """Return a failure, or each problem of a recipe, in one line: path, line and reason.

    Args:
        text: A failure text or the error of a recipe, for which `has_excerpt` returns True.
    """
    before, found = "", []
    for section in _sections(text.split("\n")):
        kind, rows = section.kind, section.rows
        if kind == "head":
            path, line, _, rest = _groups(_HEAD, rows[0])
            found.append(f"{path}:{line}: {before}{rest}")
        before = "" if found else f"{rows[0]}: "
    return found


def has_excerpt(text: str) -> bool:
    """Return True if a text is a failure text, or the error of a recipe, with an excerpt."""
    return any(section.kind == "head" for section in _sections(text.split("\n")))


def _sections(rows: Sequence[str]) -> Iterator[_Section]:
    at = 0
    while at < len(rows):
        size = _excerpt_size(rows, at)
        if size:
            yield from (
                _Section("head", rows[at : at + 1]),
                _Section("other", rows[at + 1 : at + 2]),
            )
            yield _Section("excerpt", rows[at + 2 : at + 2 + size])
            at += 2 + size
            continue
        kind: Literal["errors", "changes", "other"] = "other"
        if rows[at].startswith(_ERROR):
            kind, size = "errors", _count(rows[at:], _ERROR)
        elif rows[at] == _CHANGES:
            kind, size = "changes", 1 + _count(rows[at + 1 :], *_CHANGE_SIGNS)
        yield _Section(kind, rows[at : at + max(1, size)])
        at += max(1, size)


def _excerpt_size(rows: Sequence[str], at: int) -> int:
    """Return the number of rows of the excerpt that follows a line with a position; else 0."""
    if not _HEAD.fullmatch(rows[at]) or rows[at + 1 : at + 2] != [""]:
        return 0
    end = at + 2
    while end < len(rows) and _ROW.match(rows[end]):
        end += 1
    return end - at - 1 if end < len(rows) and _CARETS.fullmatch(rows[end]) else 0


def _count(rows: Sequence[str], *prefixes: str) -> int:
    """Return the number of lines, up to the first other one, that begin with a prefix."""
    return next((at for at, row in enumerate(rows) if not row.startswith(prefixes)), len(rows))


def _groups(pattern: re.Pattern[str], row: str) -> tuple[str, ...]:
    match = pattern.fullmatch(row)
    return match.groups() if match else ()


def _head(row: str, width: int) -> list[Part]:
    path, line, column, rest = _groups(_HEAD, row)
    most = most_of_name(width)
    rest = _NAME.sub(lambda name: cut_to_width(name[0], most), rest)
    return [Part(path, "red"), Part(f":{line}:{column}: {rest}")]


def _excerpt(rows: Sequence[str], width: int) -> list[list[Part]]:
    """Return the rows of an excerpt, of which the last one has the carets."""
    *above, marked, last = rows
    gutter, space, carets = _groups(_CARETS, last)
    size = len(gutter)
    room = width - size
    above = [f"{row[:size]}{cut_to_width(row[size:], room)}".rstrip() for row in above]
    source, start, length = around(marked[size:], len(space), len(carets), room)
    return [
        *([Part(row)] for row in above),
        [Part(f"{marked[:size]}{source}".rstrip())],
        _carets(f"{gutter}{' ' * start}{'^' * length}"),
    ]


def _carets(row: str) -> list[Part]:
    before = row.rstrip("^")
    return [Part(before), Part(row[len(before) :], "red")]


def _error(row: str) -> list[Part]:
    return _coloured(row, _EXPECTED.finditer(row), "green", "red")


def _broken(line: list[Part], width: int, before: Part) -> Iterator[list[Part]]:
    """Yield the lines of a line that is broken between words, all after the part at its start.

    Args:
        line: The line.
        width: Available columns; with 0 the line is not broken.
        before: The text at the start of the line, and its colour.
    """
    text, indent = "".join(part.text for part in line), "  "
    if not width or display_width(text) <= width:
        yield line
        return
    start = len(before.text)
    for row in wrapped(text[start:], width - start, indent):
        is_first = start == len(before.text)
        piece = row if is_first else row.removeprefix(indent)
        start = text.index(piece, start)
        first = before if is_first else before._replace(text=before.text + indent)
        yield [first, *_cut_out(line, start, start + len(piece))]
        start += len(piece)


def _cut_out(line: list[Part], start: int, end: int) -> Iterator[Part]:
    """Yield the parts of a line between two places, in characters."""
    at = 0
    for part in line:
        if text := part.text[max(0, start - at) : max(0, end - at)]:
            yield part._replace(text=text)
        at += len(part.text)


def _changes(rows: Sequence[str], width: int) -> Iterator[str]:
    """Yield the changes of the Context, with keys of at most 40 % of the width."""
    most = most_of_name(width)
    found = [_CHANGE.fullmatch(row) for row in rows]
    keys = [cut_to_width(match[1], most) if match else "" for match in found]
    widest = max(map(display_width, keys))
    for row, match, key in zip(rows, found, keys, strict=True):
        yield f"  {padded(key, widest, right=False)}  {match[2]}" if match else row


def _other(row: str) -> list[Part]:
    if row.startswith("elements   "):
        return _coloured(row, _FAILED.finditer(row), "red")
    if row.startswith("    warning: "):
        return [Part(row, "yellow")]
    return _carets(row) if row.strip("^ ") == "" and "^" in row else [Part(row)]


def _coloured(
    row: str, parts: "Iterable[re.Match[str]]", colour: str, others: str = ""
) -> list[Part]:
    """Return a line with a colour for some parts and another one for all others."""
    spans, at = [], 0
    for part in parts:
        spans += [Part(row[at : part.start()], others), Part(part[0], colour)]
        at = part.end()
    return [span for span in (*spans, Part(row[at:], others)) if span.text]
