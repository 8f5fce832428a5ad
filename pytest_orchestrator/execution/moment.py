"""A moment in a file: one process moves it on, another one sees that it has gone by."""

from __future__ import annotations

import os
import time
from struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MOMENT = Struct("d")
"""What the file begins with: a moment of ``time.monotonic``, 0 for none."""


class Overdue:
    """Whether that moment is past.

    Args:
        file: The descriptor of the file.
        patience: Seconds beyond the moment.
        looks: As many are taken within them. Only what all of these have seen counts: whoever
            stood still together with this process is given his time.

    Attributes:
        pause: Seconds between two looks.
    """

    def __init__(self, file: int, patience: float, looks: int) -> None:
        self.pause = patience / looks
        self._file, self._looks = file, looks
        self._looked = 0.0
        self._late = 0

    def is_seen(self, excused: Callable[[], bool] = lambda: False) -> bool:
        """Look, if it is time for that; tell whether the patience is over.

        Args:
            excused: Tells whether a look does not count.
        """
        now = time.monotonic()
        if now < self._looked + self.pause:
            return False
        self._looked = now
        (until,) = MOMENT.unpack(os.pread(self._file, MOMENT.size, 0) or bytes(MOMENT.size))
        self._late = self._late + 1 if 0 < until < now and not excused() else 0
        return self._late > self._looks

    def close(self) -> None:
        """Look no more."""
        os.close(self._file)
