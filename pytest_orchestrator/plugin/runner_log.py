"""Log format of the old runner on stderr; a plugin that is loaded by name."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

_STATUS = pytest.StashKey[int]()


def pytest_recipe_step_start(config: pytest.Config, step: str, step_type: str) -> None:
    """Tell that a step begins."""
    _tell(config, "INFO", f"Running {step_type} step {step}")


def pytest_recipe_step_finish(
    config: pytest.Config, node: str, step: str, result: Mapping[str, Any]
) -> None:
    """Tell what it gave, or why there is nothing."""
    about = result["step"]
    if about["state"] == "passed":
        _tell(config, "INFO", f"Step {step} output: {json.dumps(_value(config, node, step))}")
        return
    why = f": {about['reason']}" if about.get("reason") else ""
    level = "ERROR" if about["state"] == "failed" else "WARNING"
    _tell(config, level, f"Step {step} {about['state']}{why}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Note how pytest is going to exit."""
    session.config.stash[_STATUS] = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Tell how the whole has ended, below all that pytest tells."""
    status = config.stash.get(_STATUS, None)
    if status is not None and not hasattr(config, "workerinput"):
        words = f"Pipeline failed: pytest exits with {status}" if status else "Pipeline complete"
        _tell(config, "ERROR" if status else "INFO", words)


def _line(level: str, words: str) -> str:
    """Return a line of the log, as `get_logger` writes it."""
    now = datetime.now().astimezone().strftime("%Y-%m-%dT%H:%M:%S")
    return f"{now} | {level} | runner | {words}\n"


def _tell(config: pytest.Config, level: str, words: str) -> None:
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if capture is None:
        sys.stderr.write(_line(level, words))
        return
    with capture.global_and_fixture_disabled():
        if terminal is not None and sys.stderr.isatty():
            terminal.ensure_newline()
            terminal.flush()
        sys.stderr.write(_line(level, words))
        sys.stderr.flush()


def _value(config: pytest.Config, node: str, step: str) -> Any:
    """Return what a step gave, without secrets."""
    from pytest_orchestrator.plugin.session_state import state_of

    state = state_of(config)
    for run in state.runs.values():
        if run.recipe.node(step) == node:
            result = run.known(step)
            ended = result.ended if result is not None else None
            return state.masked_value(ended.value) if ended is not None else None
    return None
