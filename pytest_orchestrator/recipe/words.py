"""How names and texts of a recipe are shown in messages."""

from collections.abc import Iterable

_WIDEST = 60


def shortened(text: str, widest: int = _WIDEST) -> str:
    """The text on one line: escaped, and cut in the middle where it is long."""
    if len(text) > widest:
        half = widest // 2 - 1
        text = f"{text[:half]}...{text[-half:]}"
    return text if text.isprintable() else repr(text)[1:-1]


def quoted(text: str) -> str:
    """The text in quotes, escaped and not too long."""
    half = _WIDEST // 2 - 1
    return repr(text if len(text) <= _WIDEST else f"{text[:half]}...{text[-half:]}")


def either(names: Iterable[str]) -> str:
    """The names in one phrase: ``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last


def lines(first: int, second: int) -> str:
    """Where two things stand: ``lines 3 and 7``, or ``line 3``."""
    return f"lines {first} and {second}" if first != second else f"line {first}"
