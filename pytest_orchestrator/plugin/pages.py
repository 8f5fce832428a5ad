"""The page of a run and the pictures of its recipes, made of the journal once it is sealed."""

from pathlib import Path

import pytest

_BEFORE = 1_000_000
"""Bytes of the journals of earlier runs that are read for curves, so that the end is quick."""


def write(config: pytest.Config, folder: Path) -> None:
    """Write them, unless the ini key says no.

    What goes wrong here changes nothing of the run: it is told, and they can be made later.
    """
    if not config.getini("recipe_html"):
        return
    from pytest_orchestrator.reports.views import write_page, write_pictures
    from pytest_orchestrator.run import runs

    try:
        run = runs.load(folder)
        write_pictures(run, folder)
        write_page(run, folder, most_bytes=_BEFORE)
    except OSError as error:
        _tell(config, f"report.html could not be written: {error}")


def _tell(config: pytest.Config, text: str) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(f"orchestrator: {text}", yellow=True)
