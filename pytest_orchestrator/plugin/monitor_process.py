"""Process of the web monitor that `--recipe-monitor` starts for a session."""

import select
import subprocess
import sys
from importlib.util import find_spec
from typing import Final

import pytest

from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.registered import Plugin

_START_TIMEOUT: Final = 15.0
_END_TIMEOUT: Final = 3.0


def start_monitor(config: pytest.Config) -> None:
    """Start the web monitor if ``--recipe-monitor`` is set.

    Raises:
        pytest.UsageError: Flask is not installed.
    """
    if config.getoption("recipe_monitor") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(MonitorProcess(config), "orchestrator-monitoring")


class MonitorProcess(Plugin):
    """Process of the web monitor, which runs as long as the session.

    Its stdin is a pipe from pytest. However pytest ends, the pipe closes and the monitor ends.

    Raises:
        pytest.UsageError: Flask is not installed.
    """

    def __init__(self, config: pytest.Config) -> None:
        if find_spec("flask") is None:
            raise pytest.UsageError(
                "--recipe-monitor needs Flask: python -m pip install 'pytest-orchestrator[monitor]'"
            )
        base = settings.run_dir(config)
        base.mkdir(parents=True, exist_ok=True)
        command = ["-m", "pytest_orchestrator", "monitor", str(base), "--until-input-ends"]
        self._process = subprocess.Popen(
            [sys.executable, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches only pytest, which ends the monitor later
        )

    def pytest_report_header(self) -> str:
        """Return the header line with the monitor's link, or a note if none arrives in 15 s."""
        out = self._process.stdout
        if out is None or not select.select([out], [], [], _START_TIMEOUT)[0]:
            return "monitor: it does not answer so far"
        return out.readline().decode(errors="replace").strip() or "monitor: it has ended"

    def pytest_unconfigure(self) -> None:
        """End the monitor process with SIGTERM, and with SIGKILL if it still runs 3 s later."""
        self._process.terminate()
        try:
            self._process.communicate(timeout=_END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
