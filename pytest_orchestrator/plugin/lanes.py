"""The lanes of a session: what their Python side is told of this pytest, and what it tells."""

import builtins
import contextlib
import logging
import os
import subprocess
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.execution.steps.ssh import Links
from pytest_orchestrator.plugin import masking, uncaught
from pytest_orchestrator.plugin.state import GUARD

if TYPE_CHECKING:
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.execution.lanes.lane import Program, Slot

FORKS = sys.platform == "linux"
"""A lane may fork itself for a step; elsewhere libraries of the system do not bear that."""

# Found wherever this pytest has found the package, which need not be installed.
_MAIN = """\
'the lane of pytest-orchestrator that runs Python steps'
import sys
sys.path.append(sys.argv.pop(1))
from pytest_orchestrator.plugin.lane import main
main()"""
_NOTE = """\
import sys
sys.path.append(sys.argv.pop(1))
from pytest_orchestrator.runs.watchdog_entry import main
main()"""
_FOLDER = str(Path(__file__).parents[2])

_OPTIONS = ("tbstyle", "showlocals", "verbose", "fulltrace", "tbfilter")
_INI = (
    "truncation_limit_lines",
    "truncation_limit_chars",
    "verbosity_assertions",
    "filterwarnings",
)
_WITHOUT = (
    "terminal",
    "cacheprovider",
    "capture",
    "logging",
    "faulthandler",
    "junitxml",
    "doctest",
    "unittest",
    "pastebin",
    "stepwise",
    "setuponly",
    "setupplan",
    "debugging",
    "legacypath",
    "tmpdir",
    "monkeypatch",
    "recwarn",
    "subtests",
    *uncaught.PLUGINS,
)


def slot(config: pytest.Config) -> "Slot":
    """Return the lanes that one step at a time runs in, ended with the session."""
    from pytest_orchestrator.execution.lanes.lane import Lanes, Slot
    from pytest_orchestrator.execution.lanes.watchdog import Watchdog

    lanes = Lanes()
    config.add_cleanup(lanes.close)
    from pytest_orchestrator.plugin import workers

    given = getattr(config, "workerinput", {}).get(GUARD)
    file = Path(given) if given and Path(given).parent.is_dir() else None
    note = (sys.executable, "-c", _NOTE, _FOLDER)
    guard = Watchdog(lanes, note, lambda: terminal(config), file)
    config.add_cleanup(guard.close)
    slot = Slot(lanes, program(config), Links(), runner=workers.runner(config), guard=guard)
    config.add_cleanup(slot.links.close)
    return slot


def terminal(config: pytest.Config) -> int:
    """Return a descriptor for what is not captured."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        return os.dup(2)


def start_early(session: pytest.Session) -> None:
    """Start the lanes that Python steps will need; their imports take a while."""
    from pytest_orchestrator.plugin.state import state_of

    state = state_of(session.config)
    first = state.environment.slot
    idle = state.environment.inline or session.config.getoption("setuponly", False)
    if (
        idle
        or first is None
        or first.runner is not None
        or not any(map(_needs_python, session.items))
    ):
        return
    first.python.start()
    for run in state.runs.values():
        run.start_early()


def _needs_python(item: pytest.Item) -> bool:
    """Tell whether a Python step in a process of its own runs for an item."""
    from pytest_orchestrator.plugin.needs import NEEDS, Needs
    from pytest_orchestrator.plugin.nodes import StepItem
    from pytest_orchestrator.recipe.model.step import CodeStep

    needs = item.stash.get(NEEDS, None)
    asked = needs.asked if isinstance(needs, Needs) else []
    steps = [step for _, steps in asked for step in steps]
    if isinstance(item, StepItem):
        steps += [item.step] * (not item.recipe.fixtures)
    return any(
        isinstance(step, CodeStep) and step.isolation != "inline" and not step.fixtures
        for step in steps
    )


def program(config: pytest.Config) -> "Program":
    """Return the program that is a lane for Python steps of this session."""
    from pytest_orchestrator.execution.lanes.lane import Program

    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    argv = [sys.executable, *flags, "-c", _MAIN, _FOLDER]
    options = {name: config.getoption(name, None) for name in _OPTIONS}
    if _logs_live(config):  # then pytest itself says more, from its first item on
        options["verbose"] = max(1, options["verbose"] or 0)
    return Program(
        argv,
        dict(os.environ),
        {
            "sys_path": sys.path,
            "folder": str(config.invocation_params.dir),
            "arguments": _arguments(config),
            "options": {name: value for name, value in options.items() if value is not None},
            "argv": argv,
            "forks": FORKS,
            "warns": [name for name in uncaught.PLUGINS if config.pluginmanager.has_plugin(name)],
        },
    )


def _arguments(config: pytest.Config) -> list[str]:
    arguments = ["--noconftest", "-c", os.devnull, f"--rootdir={config.rootpath}"]
    arguments += [f"--assert={config.getoption('assertmode')}"]
    for name in _WITHOUT:
        arguments += ["-p", f"no:{name}"]
    for name in _INI:
        try:
            value = config.getini(name)
        except ValueError:
            continue
        if value:
            text = "\n".join(value) if isinstance(value, list) else str(value)
            arguments += ["-o", f"{name}={text}"]
    if config.getoption("runxfail", False):
        arguments.append("--runxfail")
    for line in config.getoption("pythonwarnings", None) or ():
        arguments += ["-W", line]
    return arguments


def _logs_live(config: pytest.Config) -> bool:
    if not config.pluginmanager.has_plugin("logging"):
        return False
    return config.getoption("log_cli_level") is not None or bool(config.getini("log_cli"))


def hear(secrets: "Masker", event: dict[str, Any]) -> None:
    """Let happen here what a step did in its own process: a log record, a warning."""
    if event["op"] == "log":
        record = logging.makeLogRecord(masking.record(event["record"], secrets))
        logging.getLogger(record.name).handle(record)
        return
    with warnings.catch_warnings():
        # Where it is an error it was one there.
        warnings.simplefilter("always")
        message = secrets.text(event["message"])
        warnings.warn_explicit(message, _category(event), event["filename"], event["line"])


def _category(event: dict[str, Any]) -> type[Warning]:
    """Return the category of a warning, or one of its name that only the step's process knows."""
    module, name = event["module"], event["category"]
    found = getattr(sys.modules.get(module), name, None)
    if isinstance(found, type) and issubclass(found, Warning):
        return found
    base: type[Warning] = getattr(builtins, event["base"])
    return type(name, (base,), {"__module__": module})


def stop(reason: str, status: int | None) -> None:
    """End the session as ``pytest.exit`` in a step asks for."""
    pytest.exit(reason, status)
