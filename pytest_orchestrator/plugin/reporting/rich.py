"""Failures of steps in the form that pytest-rich shows."""

from typing import Any

import pytest

from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE

_RICH = "rich-terminal-reporter"
_NAME = "orchestrator-rich"


class _RichFailures(Plugin):
    """Plugin that changes failures before pytest-rich receives them."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remove frames in recipes from the failure of a step.

        pytest-rich parses the file of each frame as Python. A failure without any other frame is
        a text (`results/terminal_view.py`).
        """
        shown: Any = report.longrepr
        traceback = getattr(shown, "reprtraceback", None)
        if not report.failed or traceback is None or not hasattr(report, ATTRIBUTE):
            return
        entries = traceback.reprentries
        files = [getattr(getattr(one, "reprfileloc", None), "path", None) for one in entries]
        is_python = [file is None or str(file).endswith(".py") for file in files]
        if any(file is not None and ok for file, ok in zip(files, is_python, strict=True)):
            entries[:] = [entry for entry, ok in zip(entries, is_python, strict=True) if ok]


def adapt_to_rich(config: pytest.Config) -> None:
    """Register the plugin for failures if pytest-rich writes to the terminal."""
    plugins = config.pluginmanager
    if plugins.has_plugin(_RICH) and not plugins.has_plugin(_NAME):
        plugins.register(_RichFailures(), _NAME)
