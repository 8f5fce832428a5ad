"""Launch of the lane for Python steps: its command line and the replay of its events."""

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

from pytest_orchestrator.plugin import masking
from pytest_orchestrator.plugin.python_lane import uncaught

if TYPE_CHECKING:
    from pytest_orchestrator.core.secrets import Masker
    from pytest_orchestrator.execution.lanes.lane import Program

FORKS = sys.platform == "linux"
"""True on Linux: a lane may fork itself for a step; libraries of other systems forbid that."""

# The folder of the package is appended to sys.path, because the package may not be installed.
_MAIN = """\
'the lane of pytest-orchestrator that runs Python steps'
import gc, sys
gc.disable()  # until the lane is ready: its imports make no garbage
sys.path.append(sys.argv.pop(1))
from pytest_orchestrator.core.msgspec_import import import_msgspec
import_msgspec()
from pytest_orchestrator.plugin.python_lane.main import main
main()"""
PACKAGE_FOLDER = str(Path(__file__).parents[3])

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


def terminal(config: pytest.Config) -> int:
    """Return a new file descriptor of pytest's own stderr, which is not captured."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        return os.dup(2)


def lane_program(config: pytest.Config) -> "Program":
    """Return the command line and the first message of a lane for Python steps."""
    from pytest_orchestrator.execution.lanes.lane import Program

    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]  # noqa: SLF001
    argv = [sys.executable, *flags, "-c", _MAIN, PACKAGE_FOLDER]
    options = {name: config.getoption(name, None) for name in _OPTIONS}
    if _logs_live(config):  # pytest raises its verbosity for live logs, from the first item on
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


def replay_event(secrets: "Masker", event: dict[str, Any]) -> None:
    """Repeat in this process a log record or warning that a step produced in its own process."""
    if event["op"] == "log":
        record = logging.makeLogRecord(masking.record(event["record"], secrets))
        logging.getLogger(record.name).handle(record)
        return
    with warnings.catch_warnings():
        # If a filter turns this warning into an error, it has done so in the step's process.
        warnings.simplefilter("always")
        message = secrets.text(event["message"])
        warnings.warn_explicit(message, _category(event), event["filename"], event["line"])


def _category(event: dict[str, Any]) -> type[Warning]:
    """Return the class of a warning, or a new class of that name if the class is not imported."""
    module, name = event["module"], event["category"]
    category = getattr(sys.modules.get(module), name, None)
    if isinstance(category, type) and issubclass(category, Warning):
        return category
    base: type[Warning] = getattr(builtins, event["base"])
    return type(name, (base,), {"__module__": module})
