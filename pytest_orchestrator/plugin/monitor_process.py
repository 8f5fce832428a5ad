"""Process of the web monitor that `--recipe-monitor` starts for a session."""

import contextlib
import subprocess
import sys
from importlib.util import find_spec
from typing import Final

import pytest

from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.plugin.options.declared import KEEP, MONITOR, WITH_SESSION
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.session_state import state_of

_START_TIMEOUT: Final = 15.0
_END_TIMEOUT: Final = 5.0
"""Seconds for the end of the monitor, of which two are for pages that take the last state."""


def start_monitor(config: pytest.Config) -> None:
    """Start the web monitor if ``--recipe-monitor`` is set.

    Raises:
        pytest.UsageError: Flask is not installed, or the option has another value than ``keep``.
    """
    value = config.getoption("recipe_monitor")
    if value is None or hasattr(config, "workerinput"):
        return
    if value not in (WITH_SESSION, KEEP):
        from pytest_orchestrator.core.suggestions import nearest

        hint = nearest(value, [KEEP])
        raise pytest.UsageError(f"{MONITOR}: {value!r} is no value{hint}; write {MONITOR}={KEEP}")
    config.pluginmanager.register(MonitorProcess(config), "orchestrator-monitoring")


class MonitorProcess(Plugin):
    """Process of the web monitor, which runs as long as the session.

    Its stdin is a pipe from pytest. However pytest ends, the pipe closes; then open pages take the
    last state of the run, and the monitor ends.

    Raises:
        pytest.UsageError: Flask is not installed.
    """

    def __init__(self, config: pytest.Config) -> None:
        if find_spec("flask") is None:
            raise pytest.UsageError(
                "--recipe-monitor needs Flask: python -m pip install 'pytest-orchestrator[monitor]'"
            )
        self._config = config
        self._is_kept = False
        self._line = ""
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
        # Added first, so that it runs last: a monitor that is kept holds nothing of the session.
        config.add_cleanup(self._end)

    def pytest_report_header(self) -> str:
        """Return the header line with the monitor's link, or a note if none arrives in 15 s."""
        from pytest_orchestrator.core.files import is_readable

        out = self._process.stdout
        if out is None or not is_readable(out.fileno(), _START_TIMEOUT):
            self._line = "monitor: it does not answer so far"
        else:
            line = out.readline().decode(errors="replace").strip()
            run = state_of(self._config).folder.path.name
            line = line.replace("/?token=", f"/run/{run}?token=")
            self._line = line or "monitor: it has ended"
        return self._line

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        """Write the line of the header where pytest writes no header, as with ``-q``."""
        if not self._line:
            self._write(self.pytest_report_header())

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the monitor after a session that ran tests, if the option asks for it."""
        from pytest_orchestrator.core.extras import is_ci

        has_run = session.exitstatus != pytest.ExitCode.USAGE_ERROR
        is_wanted = self._config.getoption("recipe_monitor") == KEEP
        self._is_kept = (
            is_wanted and has_run and not self._config.option.collectonly and not is_ci()
        )

    def _end(self) -> None:
        """End the monitor once open pages have the last state; kill it if it still runs 5 s later.

        A monitor that is kept ends at Ctrl-C.
        """
        if self._is_kept and self._process.poll() is None:
            self._wait_for_interrupt()
        try:
            # It closes the pipe.
            self._process.communicate(timeout=_END_TIMEOUT)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            self._process.kill()
            self._process.communicate()

    def _wait_for_interrupt(self) -> None:
        # A reader of the line may press Ctrl-C before the write returns.
        with contextlib.suppress(KeyboardInterrupt):
            self._write(f"monitor: {self._line.partition(': ')[2]} stays until Ctrl-C")
            self._process.wait()

    def _write(self, line: str) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        if terminal is not None:
            terminal.ensure_newline()
            terminal.write_line(line)
            terminal.flush()
