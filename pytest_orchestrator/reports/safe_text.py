"""What steps printed and what they are called, as a page may show it: nothing of it is obeyed."""

import json
import os
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_orchestrator.core.files import READ
from pytest_orchestrator.core.text import CONTROLS, in_utf8

_PLAIN: Final = re.compile(r"[\t\n\x20-\x7e]*")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")
_SMALL: Final = 400
_DENSE: Final = 1.7
_HEAVY: Final = re.compile(r"[^\t\n\x20\x21\x23-\x25\x28-\x3b\x3d\x3f-\x7e]")


class Tail(NamedTuple):
    """The end of a file.

    Attributes:
        text: What of it is shown.
        size: Bytes that the file has.
        is_whole: It is all of the file.
    """

    text: str
    size: int
    is_whole: bool


def shown(text: str) -> str:
    """Return a text with control characters escaped, and without colours of a terminal."""
    if _PLAIN.fullmatch(text):
        return text
    text = _COLOURS.sub("", text).replace("\r\n", "\n").translate(CONTROLS)
    return in_utf8(text)


def cut(text: str, most: int) -> str:
    """Return a text as `shown` does, its end left out where it takes too much of a page."""
    if len(text) <= most and (most < _SMALL or _weight(text) <= _DENSE * most):
        return shown(text)
    text = text[: most - 1]
    if most >= _SMALL and _weight(text) > _DENSE * most:
        text = text[: most // 4]
    return f"{shown(text)}…"


def told(value: Any, most: int) -> str:
    """Return a value as JSON, not longer than a number of characters; text stays as it is.

    A value that is huge is not written out to be thrown away.
    """
    if isinstance(value, str):
        return cut(value, most)
    pieces, size = [], 0
    for piece in _ENCODER.iterencode(value):
        pieces.append(piece)
        size += len(piece)
        if size > most:
            break
    return cut("".join(pieces), most)


def tail(path: str | Path, most: int) -> Tail | None:
    """Return the end of a file; None where it cannot be read.

    Args:
        path: The file.
        most: Bytes of a page that it may take; characters that a page escapes take more.
    """
    try:
        fd = os.open(path, READ)
    except OSError:
        return None
    try:
        # Once or twice in each step of a run: a file of Python's asks the system eight times.
        size = os.fstat(fd).st_size
        if size > most:
            os.lseek(fd, size - most, os.SEEK_SET)
        raw = os.read(fd, most)
    except OSError:
        return None
    finally:
        os.close(fd)
    is_whole = len(raw) == size
    text = shown(raw.decode("utf-8", "backslashreplace" if is_whole else "replace"))
    if _weight(text) > _DENSE * most:
        text, is_whole = text[-most // 4 :], False
    if not is_whole and (start := text.find("\n")) != -1:
        text = text[start + 1 :]
    return Tail(text, size, is_whole)


def _weight(text: str) -> int:
    """Return some bytes that a text takes of a page, where what it would obey is escaped."""
    return len(text) + 4 * len(_HEAVY.findall(text))


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, check_circular=False)
