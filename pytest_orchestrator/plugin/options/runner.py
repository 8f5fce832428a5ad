"""Options that choose the runner of steps: this machine or Dask workers."""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.plugin.options.values import text_of, value_of

_RUNNER, _DASK = "--recipe-runner", "--recipe-dask"
_RUNNER_INI, _DASK_INI = "recipe_runner", "recipe_dask"

MANY = 64
"""Most steps that a cluster of unknown size holds at a time, either running or waiting there."""


def check(config: pytest.Config) -> None:
    """Check the settings of the runner.

    Raises:
        pytest.UsageError: A setting is wrong, or a package is missing.
    """
    _scheduler(config)


def dask_scheduler(config: pytest.Config) -> Any:
    """Return the Dask scheduler whose workers run the steps; None if this machine runs them.

    Raises:
        pytest.UsageError: A setting is wrong, or a package is missing.
    """
    return None if debugger(config) else _scheduler(config)


def jobs(config: pytest.Config) -> int:
    """Return the default number of parallel steps: that of the Dask workers, or 1 without Dask."""
    scheduler = dask_scheduler(config)
    return 1 if scheduler is None else scheduler.workers or MANY


def debugger(config: pytest.Config) -> str:
    """Return the active debugger that keeps steps off Dask, such as ``--pdb``, or empty text."""
    for name, option in (("usepdb", "--pdb"), ("trace", "--trace")):
        if config.getoption(name, False):
            return option
    return "the debugger" if "pydevd" in sys.modules else ""


def header_text(config: pytest.Config) -> str:
    """Return the part of pytest's header about Dask; empty if Dask is not configured."""
    scheduler = _scheduler(config)
    if scheduler is None:
        return ""
    why = debugger(config)
    return f"on this machine and not on Dask: {why}" if why else f"on Dask at {scheduler}"


def options(config: pytest.Config) -> list[str]:
    """Return the options that say where steps run, for the repeat command of a step."""
    instruments = ("--recipe-instruments", "recipe_instruments")
    given = ((_RUNNER, "recipe_runner"), (_DASK, "recipe_dask"), instruments)
    return [f"{name}={text}" for name, key in given if (text := config.getoption(key)) is not None]


def _scheduler(config: pytest.Config) -> Any:
    if not _is_dask(config) or hasattr(config, "workerinput"):
        return None
    if find_spec("distributed") is None:
        raise pytest.UsageError(
            f"{_of_runner(config)} needs Dask: python -m pip install 'pytest-orchestrator[dask]'"
        )
    if config.getoption("dist", "no") != "no":
        raise pytest.UsageError(
            f"{_of_runner(config)} has steps run by workers of Dask, and pytest-xdist has recipes "
            "run by its own: add -n0"
        )
    from pytest_orchestrator.core.extras import addon

    given = config.getoption("recipe_dask")
    name = _DASK if given is not None else f"ini key {_DASK_INI}"
    base = config.invocation_params.dir if given is not None else config.rootpath
    text = text_of(config, _DASK_INI) if given is None else str(given).strip()
    if not text and given is None:
        raise pytest.UsageError(
            f"{_of_runner(config)} does not say where Dask is: add {_DASK}=tcp://HOST:8786, "
            f"a scheduler file, or {_DASK}=local:2 for two workers on this machine"
        )
    try:
        return addon("dask.cluster").parsed(text, Path(base))
    except ValueError as error:
        raise pytest.UsageError(f"{name}: {error}") from None


def _is_dask(config: pytest.Config) -> bool:
    given, asks = config.getoption("recipe_runner"), config.getoption("recipe_dask") is not None
    if given == "local" and asks:
        raise pytest.UsageError(
            f"{_DASK} has steps run by workers of Dask, and {_RUNNER}=local on this machine: "
            "leave one of them out"
        )
    if given is not None or asks:
        return asks or given == "dask"
    return bool(value_of(config, _RUNNER_INI) == "dask")


def _of_runner(config: pytest.Config) -> str:
    """Return the option or ini key that selected Dask, for error messages."""
    if config.getoption("recipe_runner") is not None:
        return f"{_RUNNER}=dask"
    return _DASK if config.getoption("recipe_dask") is not None else f"ini key {_RUNNER_INI}"
