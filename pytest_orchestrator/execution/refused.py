"""Where a text keeps the grammar of JSON and breaks a rule beyond it.

A decoder does not tell its hooks where they are, so the text is walked once more; only
what is refused anyway pays for that.
"""

import json
import math
import re
import sys

_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+', re.DOTALL)
# One escape after the other, so that the second half of `\\u` is never taken for its start.
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F])|.)", re.DOTALL
)


def first(text: str, begin: int) -> tuple[str, int]:
    """Find the first duplicate key, or number that is none.

    Args:
        text: It has one of them.
        begin: Where the value begins.

    Returns:
        The rule that it breaks, and where it stands; both in characters.
    """
    objects: list[set[str]] = []
    last = ("", begin)
    for match in _PIECE.finditer(text, begin):
        piece, at = match.group(), match.start()
        if piece in "{[":
            objects.append(set())
        elif piece in "}]":
            objects.pop()
        elif piece[0] == '"':
            last = (json.loads(piece), at)
        elif piece == ":":
            if last[0] in objects[-1]:
                return f"duplicate key {_short(json.dumps(last[0], ensure_ascii=False))}", last[1]
            objects[-1].add(last[0])
        elif piece != ",":
            rule = _number(piece)
            if rule:
                return rule, at
    return "a number or a key of it is refused", begin


def half_of_a_pair(text: str) -> int | None:
    """Return where a surrogate stands alone in a text of JSON; it is no character."""
    return next((match.start() for match in _ESCAPE.finditer(text) if match[1]), None)


def _number(piece: str) -> str | None:
    if piece in ("NaN", "Infinity", "-Infinity"):
        return f"JSON has no {piece}"
    digits = len(piece.lstrip("-"))
    if piece.lstrip("-").isdigit():
        most = sys.get_int_max_str_digits()
        return f"a number of {digits} digits is too long" if 0 < most < digits else None
    try:
        too_large = math.isinf(float(piece))
    except ValueError:
        return None
    return f"no number is as large as {_short(piece)}" if too_large else None


def _short(piece: str) -> str:
    return piece if len(piece) <= 40 else f"{piece[:39]}…"
