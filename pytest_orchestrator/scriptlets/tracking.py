"""Resource tracking decorator: time, resident memory and heap of a call as one log record.

tracemalloc has one peak value for the whole process. Each measurement resets this value at its
start, after all running measurements have stored it. If other code had started tracemalloc, the end
of the last measurement raises the peak to the value that this code would have seen.
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
    """Log the resource usage of each call of a function.

    Each call, including one that raises an exception, logs one INFO record whose message is JSON:
    ``metric`` (``resource_usage``), ``function`` (the name of the function), ``seconds``,
    ``rss_delta`` (growth of resident memory, bytes), ``heap_current`` and ``heap_peak``
    (bytes of Python heap that the call still holds at its end, and the most it held). During the
    call tracemalloc traces the heap, which makes Python code several times slower.

    Args:
        func: The function, which may be async; omitted if the decorator has arguments. For a
            generator function only its call is measured, which runs none of its code.
        logger: The logger; default: the logger of the function's module, or of its name if it has
            no module.

    Returns:
        The function with the same signature.
    """
    if func is None:
        return functools.partial(track_resources, logger=logger)
    if isinstance(func, (classmethod, staticmethod)):
        return cast("Callable[..., Any]", type(func)(track_resources(func.__func__, logger=logger)))
    name = func.__name__
    # A function of `exec` may have no module. The logger without a name is the root logger, which
    # would then write the records of all loggers.
    log = logger or get_logger(func.__module__ or name)

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
    """Measurement of the Python heap of the whole process, from `start` to `stop`.

    Attributes:
        current: Bytes allocated since `start` that are still held at `stop`; None if other code
            has stopped tracemalloc.
        peak: The most bytes held at one time since `start`; None if other code has stopped
            tracemalloc.
    """

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _running: ClassVar[list["Heap"]] = []
    _owners_peak: ClassVar[int | None] = None

    def __init__(self) -> None:
        self.current: int | None = None
        self.peak: int | None = None
        self._start_bytes = 0
        self._peak_bytes = 0

    def start(self) -> None:
        """Start the measurement, and tracemalloc if it is not running."""
        with Heap._lock:
            if not Heap._running:
                traced = tracemalloc.is_tracing()
                Heap._owners_peak = tracemalloc.get_traced_memory()[1] if traced else None
                tracemalloc.start()
            for heap in Heap._running:
                heap.note_peak()
            tracemalloc.reset_peak()
            self._start_bytes = self._peak_bytes = tracemalloc.get_traced_memory()[0]
            Heap._running.append(self)

    def stop(self) -> None:
        """Stop the measurement, and tracemalloc if no other code started or still needs it."""
        with Heap._lock:
            for heap in Heap._running:
                heap.note_peak()
            if tracemalloc.is_tracing():
                # The code may also free memory that was allocated before.
                self.current = max(0, tracemalloc.get_traced_memory()[0] - self._start_bytes)
                self.peak = self._peak_bytes - self._start_bytes
            Heap._running.remove(self)
            if not Heap._running:
                _restore_tracing(Heap._owners_peak)

    def note_peak(self) -> None:
        """Store the peak before tracemalloc's peak is reset for another measurement."""
        self._peak_bytes = max(self._peak_bytes, tracemalloc.get_traced_memory()[1])


def _restore_tracing(owners_peak: int | None) -> None:
    if owners_peak is None:
        tracemalloc.stop()
        return
    current, peak = tracemalloc.get_traced_memory()
    if tracemalloc.is_tracing() and peak < owners_peak:
        with suppress(MemoryError):
            # Zeroed memory is reserved but not touched, so this raises only the peak.
            bytes(owners_peak - current)
