"""Bytes and text of a step as a person may safely see them."""

from pytest_orchestrator.core.controls import CONTROLS, in_utf8

_LONGEST = 300
_QUOTED = 80


def shown(raw: bytes) -> str:
    """Return output as text: invalid UTF-8 and control characters are escaped.

    Nothing that comes back moves a terminal's cursor or ends its line early.
    """
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return text.translate(CONTROLS)


def one_line(text: str) -> str:
    """Return what a step says as one line of at most 300 characters, as safe to see."""
    line = " ".join(shown(in_utf8(text).encode()).split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def quoted(text: str) -> str:
    """Return a text in quotes, escaped and not too long."""
    return repr(text if len(text) <= _QUOTED else f"{text[: _QUOTED - 1]}…")
