"""Failures of steps in the form that pytest-rich shows."""

from typing import Any, cast

import pytest

from pytest_orchestrator.plugin.results.blocks import ATTRIBUTE

_RICH = "rich-terminal-reporter"
_NAME = "orchestrator-rich"


class _Text:
    """A longrepr that pytest-rich shows as text; its attributes are those of the original.

    Args:
        shown: The longrepr that pytest made.
    """

    def __init__(self, shown: Any) -> None:
        self._shown = shown

    def __str__(self) -> str:
        return str(self._shown)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._shown, name)


class _RichFailures:
    """Plugin that changes failures before pytest-rich receives them."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Remove frames in recipes from the failure of a step.

        pytest-rich parses the file of each frame as Python. Without any other frame it would show
        an empty box, so the failure is then a text.
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
        else:
            report.longrepr = cast("Any", _Text(shown))


def adapt_to_rich(config: pytest.Config) -> None:
    """Register the plugin for failures if pytest-rich writes to the terminal."""
    plugins = config.pluginmanager
    if plugins.has_plugin(_RICH) and not plugins.has_plugin(_NAME):
        plugins.register(_RichFailures(), _NAME)
