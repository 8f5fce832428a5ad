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
from typing import Any

from pytest_orchestrator.execution.supervision import lane_process


class Imported:
    """What the import of a module came to, for the first step that uses it.

    Attributes:
        error: What it raised.
        events: Log records and warnings.
    """

    def __init__(self) -> None:
        self.error: BaseException | None = None
        self.events: list[dict[str, Any]] = []
        self._files: list[Any] = []

    @contextlib.contextmanager
    def printed(self) -> Iterator[None]:
        """Keep what is printed meanwhile, by whatever means."""
        self._files = [tempfile.TemporaryFile() for _ in (1, 2)]  # noqa: SIM115
        kept = [os.dup(number) for number in (1, 2)]
        for number, file in enumerate(self._files, 1):
            os.dup2(file.fileno(), number)
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(Exception):
                    stream.flush()
            for number, fd in enumerate(kept, 1):
                os.dup2(fd, number)
                os.close(fd)

    def print_again(self) -> None:
        """Print what was kept."""
        for number, file in enumerate(self._files, 1):
            file.seek(0)
            with open(number, "wb", closefd=False) as stream:
                shutil.copyfileobj(file, stream)

    def close(self) -> None:
        """Forget what was kept."""
        for file in self._files:
            file.close()


def take_over(request: dict[str, Any]) -> None:
    """Stand where pytest stands: environment, folder, search path."""
    environ = request["env"]
    for name in os.environ.keys() - environ.keys():
        del os.environ[name]
    for name, value in environ.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    os.chdir(request["cwd"])
    sys.path[:] = request["sys_path"]


def forget_exits() -> None:
    """Have none of the functions run that the lane is to run when it ends itself."""
    atexit._clear()  # noqa: SLF001
    atexit.register(logging.shutdown)


def run_exits() -> None:
    """Run what the step has left to be run at the end of its process.

    What it left running is ended and told, and not waited for.
    """
    processes = sys.modules.get("multiprocessing.util")
    if processes is not None:
        atexit.unregister(processes._exit_function)  # noqa: SLF001
    atexit._run_exitfuncs()  # noqa: SLF001


def own_process(*, traced: bool) -> None:
    """Take signals as a fresh process does.

    Args:
        traced: Who is ended by TERM tells where it hung.
    """
    # Not by signal, whose names for numbers cost each child fifty pages of memory.
    for number in lane_process.SIGNALS:
        if _signal.getsignal(number) != _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    if traced:
        faulthandler.register(_signal.SIGTERM, 2, all_threads=True, chain=True)
