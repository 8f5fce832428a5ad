"""How many columns of a terminal a text takes, and what of it fits into some."""

import unicodedata


def columns(text: str) -> int:
    """Count the columns of a terminal that a text takes; wide characters take two."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut(text: str, width: int) -> str:
    """Return a text that takes at most so many columns, with a mark where it was cut."""
    if columns(text) <= width:
        return text.rstrip()
    while text and columns(text) > width - 1:
        text = text[:-1]
    return text.rstrip() + "…"
