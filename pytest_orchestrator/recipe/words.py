"""How names and texts of a recipe are shown in messages."""

from collections.abc import Iterable

_WIDEST = 60


def shortened(text: str, widest: int = _WIDEST) -> str:
    """The text, cut in the middle where it is long."""
    if len(text) <= widest:
        return text
    half = widest // 2 - 1
    return f"{text[:half]}...{text[-half:]}"


def quoted(text: str) -> str:
    """The text in quotes, escaped and not too long."""
    return repr(shortened(text))


def either(names: Iterable[str]) -> str:
    """The names in one phrase: ``a, b or c``."""
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
