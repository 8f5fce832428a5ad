"""Who a step waits for, said in the terminal while it waits."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.execution.wait import Wait


def teller(config: pytest.Config) -> "Callable[[Wait], None]":
    """Return what writes one line for each wait; with ``-q`` it writes none."""

    def tell(wait: "Wait") -> None:
        terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
        if terminal is None or config.get_verbosity() < 0:
            return
        capture: Any = config.pluginmanager.get_plugin("capturemanager")
        # A step's output is captured while it runs, and this is none of it.
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            terminal.ensure_newline()
            terminal.write_line(f"orchestrator: {wait}")
            terminal.flush()

    return tell
