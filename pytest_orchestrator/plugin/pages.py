"""The page of a run and the pictures of its recipes, made of the journal once it is sealed."""

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_orchestrator.runs.journal.writer import NAME

_BEFORE = 1_000_000
"""Bytes of the journals of earlier runs that are read for curves, so that the end is quick."""

_LARGE = 8_000_000
"""Bytes of a journal, of some 5,000 steps, that is not read within pytest: all of it at once
takes ten times as much memory as pytest has for the steps, and pytest would keep that."""

_APART = f"""\
import sys
from pathlib import Path
from pytest_orchestrator.reports.views import write_all
try:
    write_all(Path(sys.argv[1]), {_BEFORE})
except OSError as error:
    sys.exit(str(error))
"""


def write(config: pytest.Config, folder: Path) -> None:
    """Write them, unless the ini key says no.

    What goes wrong here changes nothing of the run: it is told, and they can be made later.
    """
    if not config.getini("recipe_html"):
        return
    from pytest_orchestrator.reports.views import write_all

    try:
        if (folder / NAME).stat().st_size > _LARGE:
            _write_apart(folder)
        else:
            write_all(folder, _BEFORE)
    except OSError as error:
        _tell(config, f"report.html could not be written: {error}")


def _write_apart(folder: Path) -> None:
    """Write them in a process of its own.

    Raises:
        OSError: It could not do so.
    """
    done = subprocess.run(
        [sys.executable, "-c", _APART, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise OSError(lines[-1])


def _tell(config: pytest.Config, text: str) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        terminal.ensure_newline()
        terminal.write_line(f"orchestrator: {text}", yellow=True)
