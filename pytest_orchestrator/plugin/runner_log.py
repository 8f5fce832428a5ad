"""Plugin that logs steps to stderr in the log format of the runner before pytest-orchestrator."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pytest

_STATUS = pytest.StashKey[int]()


def pytest_recipe_step_start(config: pytest.Config, step: str, step_type: str) -> None:
    """Write a log line when a step starts."""
    _write(config, "INFO", f"Running {step_type} step {step}")


def pytest_recipe_step_finish(
    config: pytest.Config, node: str, step: str, result: Mapping[str, Any]
) -> None:
    """Write a log line with a step's result, or with outcome and reason if it did not pass."""
    about = result["step"]
    if about["state"] == "passed":
        _write(config, "INFO", f"Step {step} output: {json.dumps(_value(config, node, step))}")
        return
    from pytest_orchestrator.runs.verdicts import BAD

    why = f": {about['reason']}" if about.get("reason") else ""
    level = "ERROR" if about["state"] in BAD else "WARNING"
    _write(config, level, f"Step {step} {about['state']}{why}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Store the exit status of pytest for the last log line."""
    session.config.stash[_STATUS] = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Write the last log line, after all output of pytest."""
    status = config.stash.get(_STATUS, None)
    if status is not None and not hasattr(config, "workerinput"):
        text = f"Pipeline failed: pytest exits with {status}" if status else "Pipeline complete"
        _write(config, "ERROR" if status else "INFO", text)


def _line(level: str, text: str) -> str:
    """Return a log line in the format of `get_logger`, with the logger name ``runner``."""
    now = datetime.now().astimezone().strftime("%Y-%m-%dT%H:%M:%S")
    return f"{now} | {level} | runner | {text}\n"


def _write(config: pytest.Config, level: str, text: str) -> None:
    terminal: Any = config.pluginmanager.get_plugin("terminalreporter")
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    if capture is None:
        sys.stderr.write(_line(level, text))
        return
    with capture.global_and_fixture_disabled():
        if terminal is not None and sys.stderr.isatty():
            terminal.ensure_newline()
            terminal.flush()
        sys.stderr.write(_line(level, text))
        sys.stderr.flush()


def _value(config: pytest.Config, node: str, step: str) -> Any:
    """Return the result of a step, with secrets masked."""
    from pytest_orchestrator.plugin.session_state import state_of

    state = state_of(config)
    for run in state.runs.values():
        if run.recipe.node(step) == node:
            result = run.known(step)
            ended = result.ended if result is not None else None
            return state.masked_value(ended.value) if ended is not None else None
    return None
