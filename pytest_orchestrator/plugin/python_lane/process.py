"""Process state of a Python step: environment, search path, exit functions."""

import _signal  # type: ignore[import-not-found]
import atexit
import contextlib
import faulthandler
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from typing import Any, Final

from pytest_orchestrator.execution.supervision import lane_process
from pytest_orchestrator.recipe.model.step import PythonStep


class Imported:
    """Outcome of the import of a module, for the first step that uses the module.

    Attributes:
        error: The exception of the import, or None.
        events: The log records and warnings of the import.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.events: list[dict[str, Any]] = []
        self._files: list[Any] = []

    @contextlib.contextmanager
    def printed(self) -> Iterator[None]:
        """Redirect file descriptors 1 and 2 to temporary files inside the with block."""
        self._files = [tempfile.TemporaryFile() for _ in (1, 2)]  # noqa: SIM115
        saved = [os.dup(number) for number in (1, 2)]
        for number, file in enumerate(self._files, 1):
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            for number, fd in enumerate(saved, 1):
                os.dup2(fd, number)
                os.close(fd)

    def print_again(self) -> None:
        """Write the captured output to file descriptors 1 and 2."""
        for number, file in enumerate(self._files, 1):
            file.seek(0)
            with open(number, "wb", closefd=False) as stream:
                shutil.copyfileobj(file, stream)

    def close(self) -> None:
        """Close the temporary files, which deletes the captured output."""
        for file in self._files:
            file.close()


_OWN_TYPES: Final = "pytest_orchestrator.step_types."


class _Environment:
    """Environment variables of this process as the last request has set them.

    Two steps usually differ in two of their forty variables, so only these are set.
    """

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._raw: dict[bytes, bytes] | None = None

    def apply(self, given: dict[str, str]) -> None:
        """Set the environment variables of this process to the given ones."""
        raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined]  # noqa: SLF001
        # A module that was imported in this process may have changed the variables.
        before = self._given if raw == self._raw else dict(os.environ)
        for name in before.keys() - given.keys():
            del os.environ[name]
        for name, value in given.items() - before.items():
            os.environ[name] = value
        self._given, self._raw = given, raw.copy()


_environment = _Environment()


def apply_process_state(request: dict[str, Any]) -> None:
    """Set the environment, working folder and ``sys.path`` to those in the request of a step."""
    _environment.apply(request["env"])
    os.chdir(request["cwd"])
    sys.path[:] = request["sys_path"]


def forget_exits() -> None:
    """Unregister all ``atexit`` functions in this fork except `logging.shutdown`."""
    atexit._clear()  # noqa: SLF001
    atexit.register(logging.shutdown)


def run_exits() -> None:
    """Run the ``atexit`` functions that the step registered.

    The function of multiprocessing is removed first, because it would wait for the leftover
    processes, which the lane ends and reports.
    """
    processes = sys.modules.get("multiprocessing.util")
    if processes is not None:
        atexit.unregister(processes._exit_function)  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001


def reset_signals(*, traced: bool) -> None:
    """Reset the signal handlers to those of a new Python process.

    Args:
        traced: True if SIGTERM and crashes print the tracebacks of all threads before they end the
            process.
    """
    # `_signal` is used, because the enums of `signal` cost each fork fifty pages of memory.
    for number in lane_process.SIGNALS:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    if traced:
        faulthandler.register(_signal.SIGTERM, 2, all_threads=True, chain=True)
    else:
        faulthandler.disable()


def is_traced(step: PythonStep) -> bool:
    """Return True if the stacks of a step's threads have frames of the user's code.

    A step type of this package has none, and a step in the background is ended by SIGTERM as usual.
    """
    return not step.background and not step.module.startswith(_OWN_TYPES)
