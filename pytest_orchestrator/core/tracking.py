"""What a call costs, as one log record whose message is JSON."""

import functools
import inspect
import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar, cast, overload

from pytest_orchestrator.core.heap import Heap
from pytest_orchestrator.core.logs import get_logger

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
    name = func.__qualname__
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
