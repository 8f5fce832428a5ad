"""Figures of the Python heap while something runs: nested, in threads, beside others' tracing.

tracemalloc has one peak, for everybody. It is set back whenever one of us starts, after the
others have noted it, and lifted to where it was for its owner when the last of us stops.
"""

import threading
import tracemalloc
from contextlib import suppress
from typing import ClassVar


class Heap:
    """Bytes of the Python heap from `start` to `stop`, of the whole process.

    Attributes:
        current: Bytes allocated meanwhile that are still held at `stop`; None where somebody
            else ended the tracing.
        peak: The most that was held at a time; None as above.
    """

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _running: ClassVar[list["Heap"]] = []
    _owners_peak: ClassVar[int | None] = None

    def __init__(self) -> None:
        self.current: int | None = None
        self.peak: int | None = None
        self._from = 0
        self._highest = 0

    def start(self) -> None:
        """Begin to measure, and to trace where nobody does."""
        with Heap._lock:
            if not Heap._running:
                traced = tracemalloc.is_tracing()
                Heap._owners_peak = tracemalloc.get_traced_memory()[1] if traced else None
                tracemalloc.start()
            for heap in Heap._running:
                heap.note_peak()
            tracemalloc.reset_peak()
            self._from = self._highest = tracemalloc.get_traced_memory()[0]
            Heap._running.append(self)

    def stop(self) -> None:
        """End it, and the tracing where nobody else began it or needs it still."""
        with Heap._lock:
            for heap in Heap._running:
                heap.note_peak()
            if tracemalloc.is_tracing():
                self.current = tracemalloc.get_traced_memory()[0] - self._from
                self.peak = self._highest - self._from
            Heap._running.remove(self)
            if not Heap._running:
                _hand_back(Heap._owners_peak)

    def note_peak(self) -> None:
        """Remember the peak before it is set back for another one."""
        self._highest = max(self._highest, tracemalloc.get_traced_memory()[1])


def _hand_back(owners_peak: int | None) -> None:
    if owners_peak is None:
        tracemalloc.stop()
        return
    current, peak = tracemalloc.get_traced_memory()
    if tracemalloc.is_tracing() and peak < owners_peak:
        with suppress(MemoryError):
            # Zeroed memory is promised, not filled: this only lifts the peak.
            bytes(owners_peak - current)
