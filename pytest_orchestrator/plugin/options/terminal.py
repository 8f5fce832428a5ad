"""Terminal of a session at which a person can answer."""

import contextlib
import os
from typing import Any

import pytest

TERMINAL = "orchestrator_terminal"
"""Key of `workerinput` of xdist: True if the controller has a terminal with a person."""


def has_terminal(config: pytest.Config) -> bool:
    """Return True if a person can answer at the terminal, or answers were given before the run.

    In a pipeline, where ``CI`` is set, no person answers.

    Args:
        config: The configuration of the session; in an xdist worker the controller's terminal
            counts.
    """
    if config.getoption("recipe_answer", None) or config.getoption("recipe_answers", None):
        return True
    given = getattr(config, "workerinput", {}).get(TERMINAL)
    if given is not None:
        return bool(given)
    if os.environ.get("CI", "").strip().lower() not in ("", "0", "false", "no"):
        return False
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    with contextlib.ExitStack() as stack:
        if capture is not None:
            stack.enter_context(capture.global_and_fixture_disabled())
            capture.suspend_global_capture(in_=True)
        return _is_interactive()


def _is_interactive() -> bool:
    try:
        # A process in the background would be stopped as soon as it reads its terminal.
        if not os.isatty(0) or os.tcgetpgrp(0) != os.getpgrp():
            return False
    except OSError:
        return False
    return os.isatty(1) or os.isatty(2)
