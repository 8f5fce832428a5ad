"""Text for terminals: control characters, user patterns, escaping, column widths."""

import re
import warnings
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json

_KEPT: Final = {9, 10}

CONTROLS: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in _KEPT},
    # These turn the direction of what follows, so that one reads what is not there.
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
"""A table for `str.translate`; tabs and ends of lines stay."""


def in_utf8(value: str) -> str:
    """Return a text that has an encoding in UTF-8.

    Args:
        value: Any text; bytes of names that are not UTF-8 are surrogates in it, which become
            escapes.
    """
    # The encoder is str's own, so that nothing of a subclass is asked.
    try:
        return str.encode(value, errors="surrogateescape").decode(errors="backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte of a file's name
        return str.encode(value, errors="backslashreplace").decode()


def encodable(value: "Json") -> "Json":
    r"""Return JSON whose texts all have an encoding in UTF-8, and all else as it is.

    Args:
        value: JSON; names of files in it may have bytes that are not UTF-8, which Python keeps
            as surrogates and which become escapes such as ``\xff``.
    """
    if isinstance(value, str):
        return in_utf8(value)
    if isinstance(value, dict):
        return {in_utf8(key): encodable(one) for key, one in value.items()}
    return [encodable(one) for one in value] if isinstance(value, list) else value


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a pattern made ready.

    Raises:
        ValueError: It is none; says what is wrong, and where in it.
    """
    try:
        with warnings.catch_warnings():
            # What Python may read differently one day is no matter of who runs the recipe.
            warnings.simplefilter("ignore")
            return re.compile(pattern, re.MULTILINE)
    except re.error as error:
        where = "" if error.pos is None else f", at character {error.pos + 1}"
        raise ValueError(f"{error.msg}{where}") from None
    except (OverflowError, RecursionError) as error:
        raise ValueError(str(error)) from None


_LONGEST = 300
_QUOTED = 80


def printable(raw: bytes) -> str:
    """Return output as text: invalid UTF-8 and control characters are escaped.

    Nothing that comes back moves a terminal's cursor or ends its line early.
    """
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return text.translate(CONTROLS)


def one_line(text: str) -> str:
    """Return what a step says as one line of at most 300 characters, as safe to see."""
    line = " ".join(printable(in_utf8(text).encode()).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def quoted(text: str) -> str:
    """Return a text in quotes, escaped and not too long."""
    return repr(text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…")


def display_width(text: str) -> int:
    """Count the columns of a terminal that a text takes; wide characters take two."""
    import unicodedata

    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut_to_width(text: str, width: int) -> str:
    """Return a text that takes at most so many columns, with a mark where it was cut."""
    if display_width(text) <= width:
        return text.rstrip()
    while text and display_width(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"
