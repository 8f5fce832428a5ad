"""Resource tracking decorator: time, CPU and heap of a call as one log record.

tracemalloc has one peak, for everybody. It is set back whenever one of us starts, after the
others have noted it, and lifted to where it was for its owner when the last of us stops.
"""

import functools
import inspect
import json
import logging
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar, ParamSpec, TypeVar, cast, overload

from pytest_orchestrator.scriptlets.base import get_logger

__tracebackhide__ = True

P = ParamSpec("P")
R = TypeVar("R")


@overload
def track_resources(
    func: Callable[P, R], *, logger: logging.Logger | None = None
) -> Callable[P, R]: ...


@overload
def track_resources(
    func: None = None, *, logger: logging.Logger | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def track_resources(
    func: Callable[..., Any] | None = None, *, logger: logging.Logger | None = None
) -> Callable[..., Any]:
    """Log what each call of a function costs.

    For each call, also one that raises, there is one INFO record whose message is JSON:
    ``metric`` (``resource_usage``), ``function`` (its qualified name), ``seconds``,
    ``rss_delta`` (growth of resident memory, bytes), ``heap_current`` and ``heap_peak``
    (bytes of Python heap that the call still holds at its end, and the most it held). The
    heap is traced meanwhile, which makes Python code several times slower.

    Args:
        func: The function, also an async one; left out where the decorator has arguments. Of
            a generator function only the call is measured, which does nothing.
        logger: Where to log; default: the logger of the function's module.

    Returns:
        The function with the same signature.
    """
    if func is None:
        return functools.partial(track_resources, logger=logger)
    if isinstance(func, (classmethod, staticmethod)):
        return cast("Callable[..., Any]", type(func)(track_resources(func.__func__, logger=logger)))
    name = func.__name__
    log = logger or get_logger(func.__module__)

    @functools.wraps(func)
    def measured(*args: Any, **kwargs: Any) -> Any:
        with _logged(name, log):
            return func(*args, **kwargs)

    @functools.wraps(func)
    async def measured_async(*args: Any, **kwargs: Any) -> Any:
        with _logged(name, log):
            return await func(*args, **kwargs)

    return measured_async if inspect.iscoroutinefunction(func) else measured


@contextmanager
def _logged(name: str, log: logging.Logger) -> Iterator[None]:
    import psutil

    process = psutil.Process()
    heap = Heap()
    rss = process.memory_info().rss
    heap.start()
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        heap.stop()
        figures = {
            "metric": "resource_usage",
            "function": name,
            "seconds": round(seconds, 6),
            "rss_delta": process.memory_info().rss - rss,
            "heap_current": heap.current,
            "heap_peak": heap.peak,
        }
        log.info(json.dumps(figures))


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
