"""How deep JSON is nested, told without building anything of it."""

import re
from itertools import accumulate
from typing import Final

from pytest_orchestrator.remote.lines import Line

_NEITHER: Final = bytes(set(range(256)) - set(b'[]{}"'))
_STEPS: Final = bytes.maketrans(b"[]{}", b"\2\0\2\0")


def is_deeper(line: Line, limit: int) -> bool:
    """Tell whether a line is nested more than some levels deep.

    Brackets within text do not count: escapes are taken away, and then text as a whole.
    """
    if len(line) <= limit or line.count(b"[") + line.count(b"{") <= limit:
        return False
    bare = line.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _NEITHER)
    brackets = re.sub(rb'"[^"]*"?', b"", bare)
    steps = brackets.translate(_STEPS)
    return max(accumulate(steps, lambda depth, step: depth + step - 1, initial=0)) > limit
