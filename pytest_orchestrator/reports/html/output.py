"""Output of programs and failure texts on a page: terminal colours, and what is not shown twice."""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, Final

from pytest_orchestrator.core.text import lazy_pattern

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
