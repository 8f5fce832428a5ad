"""Uncaught exceptions of threads and finalizers of a step.

In pytest's process two of its own plugins turn that into warnings, so that it is seen and ``-W
error`` makes it a failure; the process of a step does the same with hooks that cost nothing.
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
"""Those plugins of pytest."""


class Uncaught:
    """Collects what nobody catches while a block runs; it is printed as ever, too.

    Args:
        plugins: Those in whose place that is done; who switches one off wants no warnings.
    """

    def __init__(self, plugins: "Collection[str]") -> None:
        self._plugins = plugins
        self._found: list[tuple[type[Warning], str, TracebackType | None]] = []
        self._hooks = (threading.excepthook, sys.unraisablehook)

    def __enter__(self) -> Self:
        in_thread, ignored = self._hooks
        if IN_THREADS in self._plugins:
            threading.excepthook = self._kept(in_thread, self._in_thread)
        if IGNORED in self._plugins:
            sys.unraisablehook = self._kept(ignored, self._ignored)
        return self

    def __exit__(self, *_: object) -> None:
        threading.excepthook, sys.unraisablehook = self._hooks

    def warn(self) -> None:
        """Warn of each, where it was raised.

        Raises:
            Warning: Warnings are errors.
        """
        for category, text, where in self._found:
            place = traceback.extract_tb(where)
            name, line = (place[-1].filename, place[-1].lineno or 1) if place else (__file__, 1)
            warnings.warn_explicit(text, category, name, line)

    def _kept(
        self, before: "Callable[[Any], object]", keep: "Callable[[Any], None]"
    ) -> "Callable[[Any], None]":
        def hook(told: Any) -> None:
            keep(told)
            before(told)

        return hook

    def _in_thread(self, told: threading.ExceptHookArgs) -> None:
        title = f"Exception in thread {told.thread.name if told.thread else '<unknown>'}"
        self._keep(pytest.PytestUnhandledThreadExceptionWarning, title, told)

    def _ignored(self, told: "sys.UnraisableHookArgs") -> None:
        title = f"{told.err_msg or 'Exception ignored in'}: {told.object!r}"
        self._keep(pytest.PytestUnraisableExceptionWarning, title, told)

    def _keep(self, category: type[Warning], title: str, told: Any) -> None:
        shown = traceback.format_exception(told.exc_type, told.exc_value, told.exc_traceback)
        self._found.append((category, f"{title}\n\n{''.join(shown)}", told.exc_traceback))
