"""Uncaught exceptions of threads and finalizers of a step.

In pytest's own process two plugins of pytest turn these exceptions into warnings, and ``-W error``
turns the warnings into failures. The process of a step does the same with two hooks of Python,
which cost a fork nothing.
"""

import sys
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from types import TracebackType

PLUGINS = IN_THREADS, IGNORED = ("threadexception", "unraisableexception")
"""The names of the two plugins of pytest that warn of uncaught exceptions."""


class Uncaught:
    """Context manager that collects uncaught exceptions and also calls the previous hooks.

    Args:
        plugins: The names from `PLUGINS` that are enabled; exceptions of the other plugin's kind
            cause no warnings.
    """

    def __init__(self, plugins: "Collection[str]") -> None:
        self._plugins = plugins
        self._collected: list[tuple[type[Warning], str, TracebackType | None]] = []
        self._hooks = (threading.excepthook, sys.unraisablehook)

    def __enter__(self) -> Self:
        in_thread, ignored = self._hooks
        if IN_THREADS in self._plugins:
            threading.excepthook = self._chained(in_thread, self._in_thread)
        if IGNORED in self._plugins:
            sys.unraisablehook = self._chained(ignored, self._ignored)
        return self

    def __exit__(self, *_: object) -> None:
        threading.excepthook, sys.unraisablehook = self._hooks

    def warn(self) -> None:
        """Issue a warning for each collected exception, at the line that raised the exception.

        Raises:
            Warning: A filter makes the warning an error.
        """
        for category, text, trace in self._collected:
            frames = traceback.extract_tb(trace)
            name, line = (frames[-1].filename, frames[-1].lineno or 1) if frames else (__file__, 1)
            warnings.warn_explicit(text, category, name, line)

    def _chained(
        self, previous: "Callable[[Any], object]", collect: "Callable[[Any], None]"
    ) -> "Callable[[Any], None]":
        def hook(args: Any) -> None:
            collect(args)
            previous(args)

        return hook

    def _in_thread(self, args: threading.ExceptHookArgs) -> None:
        title = f"Exception in thread {args.thread.name if args.thread else '<unknown>'}"
        self._collect(pytest.PytestUnhandledThreadExceptionWarning, title, args)

    def _ignored(self, args: "sys.UnraisableHookArgs") -> None:
        title = f"{args.err_msg or 'Exception ignored in'}: {args.object!r}"
        self._collect(pytest.PytestUnraisableExceptionWarning, title, args)

    def _collect(self, category: type[Warning], title: str, args: Any) -> None:
        lines = traceback.format_exception(args.exc_type, args.exc_value, args.exc_traceback)
        self._collected.append((category, f"{title}\n\n{''.join(lines)}", args.exc_traceback))
