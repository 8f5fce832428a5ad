"""What is said in the terminal while a step runs: who it waits for, what becomes of Ctrl-C."""

import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin import progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.execution.locks.recipe_locks import LockWait


def teller(config: pytest.Config) -> "Callable[[LockWait], None]":
    """Return what writes one line for each wait; with ``-q`` it writes none.

    A worker of xdist has no terminal: there it is part of what the item prints.
    """

    def tell(wait: "LockWait") -> None:
        if hasattr(config, "workerinput"):
            print(f"orchestrator: {wait}", file=sys.stderr)  # noqa: T201 - it is in the report
        elif config.get_verbosity() >= 0:
            say(config, str(wait))

    return tell


def say(config: pytest.Config, words: str, *, after_signal: bool = False) -> None:
    """Write a line to the terminal now, below the ``^C`` that a terminal shows of a signal."""
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None:
        return
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    # A step's output is captured while it runs, and this is none of it.
    within = capture.global_and_fixture_disabled() if capture else nullcontext()
    with progress.silence(config), within:
        terminal.write("\n") if after_signal else terminal.ensure_newline()
        terminal.write_line(f"orchestrator: {words}")
        terminal.flush()
