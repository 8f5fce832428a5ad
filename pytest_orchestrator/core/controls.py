"""Characters that do something to who sees them, and how they are shown instead."""

from typing import Final

_KEPT: Final = {9, 10}

CONTROLS: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code not in _KEPT},
    # These turn the direction of what follows, so that one reads what is not there.
    **{code: f"\\u{code:04x}" for code in (*range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}
"""A table for `str.translate`; tabs and ends of lines stay."""
