"""Monitor process beside a session."""

import select
import subprocess
import sys
from importlib.util import find_spec
from typing import Final

import pytest

from pytest_orchestrator.plugin.options import settings

_PATIENCE: Final = 15.0
_END: Final = 3.0


def add_monitor_option(group: pytest.OptionGroup) -> None:
    """Declare the option."""
    group.addoption(
        "--recipe-monitor",
        action="store_true",
        help="show the run in a browser while it goes on: the header has the link (needs the extra "
        "monitor)",
    )


def start_monitor(config: pytest.Config) -> None:
    """Start a monitor where one is asked for.

    Raises:
        pytest.UsageError: Dash is not installed.
    """
    if config.getoption("recipe_monitor") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(MonitorProcess(config), "orchestrator-monitoring")


class MonitorProcess:
    """Starts a monitor of the runs of the project, and ends it.

    It reads the end of its input where pytest is gone in any other way.

    Raises:
        pytest.UsageError: Dash is not installed.
    """

    def __init__(self, config: pytest.Config) -> None:
        if find_spec("dash") is None:
            raise pytest.UsageError(
                "--recipe-monitor needs Dash: python -m pip install 'pytest-orchestrator[monitor]'"
            )
        base = settings.run_dir(config)
        base.mkdir(parents=True, exist_ok=True)
        command = ["-m", "pytest_orchestrator", "monitor", str(base), "--until-input-ends"]
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for pytest, which ends it after the last event
        )

    def pytest_report_header(self) -> str:
        """Tell the link; the monitor was starting all the while."""
        out = self._process.stdout
        if out is None or not select.select([out], [], [], _PATIENCE)[0]:
            return "monitor: it does not answer so far"
        return out.readline().decode(errors="replace").strip() or "monitor: it has ended"

    def pytest_unconfigure(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
