"""Filter of the stack dumps in a stream: it removes the frames of this package and of pytest.

Python dumps the stacks of all threads at a crash, and when a step is cut off; without the GIL it
dumps only that of the thread that crashed. Most of the frames are below the code of the user.
"""

from __future__ import annotations

import os
from functools import cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

_MARK = b"(most recent call first)"
_TITLES = (b"Thread 0x", b"Current thread 0x", b"Stack (most recent call first)")
_FRAME = b'  File "'
_LONGEST = 4096


class StackFilter:
    """Filter for a stream. All bytes but the frames pass unchanged.

    The beginning of a line that may belong to a dump is held back until its rest is known.
    """

    def __init__(self) -> None:
        self._held = b""
        self._in_line = False
        self._in_dump = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the next bytes of the stream without the frames."""
        lines, newline, last = (self._held + chunk).rpartition(b"\n")
        self._held = b""
        if newline:
            if self._in_dump or _MARK in lines:
                lines = b"".join([line + b"\n" for line in lines.split(b"\n") if self._shows(line)])
            else:
                lines += b"\n"
            self._in_line = False
        if last and not self._in_line:
            if self._may_be_of_dump(last):
                self._held = last
                return lines
            self._in_line, self._in_dump = True, False
        return lines + last

    def end(self) -> bytes:
        """Return the bytes that are held back, at the end of the stream."""
        held, self._held = self._held, b""
        return held

    def _shows(self, line: bytes) -> bool:
        """Return False for a frame of a dump that is to be removed."""
        if self._in_line:  # its beginning has been shown
            self._in_line = False
        elif line.startswith(_TITLES):
            self._in_dump = True
        elif self._in_dump and line.startswith(_FRAME):
            return _own_frame().match(line) is None
        else:
            self._in_dump = False
        return True

    def _may_be_of_dump(self, start: bytes) -> bool:
        """Return True if a line with this beginning may be a title or a frame of a dump."""
        prefixes = (*_TITLES, _FRAME) if self._in_dump else _TITLES
        return len(start) < _LONGEST and any(
            start.startswith(one) or one.startswith(start) for one in prefixes
        )


@cache
def _own_frame() -> re.Pattern[bytes]:
    """Return the pattern of a frame of this package, of pytest, or of the start of the lane."""
    import re

    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    own = re.escape(os.fsencode(here))
    packages = rb".*/(?:site|dist)-packages/(?:_pytest|pluggy|xdist|pytest_orchestrator)/"
    ends = rb'<frozen |<string>", line \d+ in <module>'
    return re.compile(_FRAME + rb"(?:" + own + rb"/|" + packages + rb"|" + ends + rb")")
