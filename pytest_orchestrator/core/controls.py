"""Characters that do something to who sees them or that have no encoding, and their escapes."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_orchestrator.core.values import Json

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
