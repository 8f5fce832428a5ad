"""Bytes and text of a step as a person may safely see them."""

_KEPT = {9, 10}
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in _KEPT}


def shown(raw: bytes) -> str:
    """Return output as text: invalid UTF-8 and control characters are escaped.

    Nothing that comes back moves a terminal's cursor or ends its line early.
    """
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return text.translate(_CONTROLS)
