"""Files that a session writes after its journal is sealed: history of the run, page, graphs."""

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_orchestrator.core.files import gc_paused_for_imports
from pytest_orchestrator.plugin.options import settings
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL

_BEFORE = 1_000_000
"""Maximum bytes of the history of earlier runs that the page reads, so that the end is fast."""

LARGE = 8_000_000
"""Size of a journal, in bytes, from which another process writes the files. It has some 5,000
steps; reading it takes ten times the memory of pytest, which pytest would not release."""

_WRITE = f"""\
import sys
from pathlib import Path
from pytest_orchestrator.reports.views import write_all
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.history.backfill import keep
folder, root = map(Path, sys.argv[1:3])
run = lookup.load_record(folder, raw_blocks=True)
print(keep(run, folder))
print(write_all(run, folder, root, tuple(sys.argv[4:]), {_BEFORE}) if sys.argv[3] else "")
"""


def write_files(config: pytest.Config, folder: Path) -> None:
    """Write the history of a run, and its page and graphs unless ``recipe_html`` is false.

    An error is printed and does not change the run; the files can be written later.
    """
    with_page = bool(config.getini("recipe_html"))
    brand = settings.brand(config)
    try:
        if is_large(folder):
            page = "page" if with_page else ""
            problems = output_of(
                _WRITE, str(folder), str(config.rootpath), page, *brand
            ).splitlines()
        else:
            problems = _here(folder, config.rootpath, brand, with_page=with_page)
    except (OSError, lookup.NoRun) as error:
        problems = [f"the files of this run could not be written: {error}"]
    for problem in filter(None, problems):
        print_line(config, problem)


def _here(folder: Path, root: Path, brand: tuple[str, str], *, with_page: bool) -> list[str]:
    """Write the files in this process; return sentences on those that could not be written."""
    with gc_paused_for_imports():
        from pytest_orchestrator.runs.history.backfill import keep

        run = lookup.load_record(folder, raw_blocks=True)
        problems = [keep(run, folder)]
        if with_page:
            from pytest_orchestrator.reports.views import write_all

            problems.append(write_all(run, folder, root, brand, _BEFORE))
    return problems


def is_large(folder: Path) -> bool:
    """Return True if another process is to read the journal of a run."""
    return (folder / JOURNAL).stat().st_size > LARGE


def output_of(program: str, *arguments: str) -> str:
    """Run a Python program in a subprocess and return its output.

    Args:
        program: The source of the program.
        arguments: Its arguments.

    Raises:
        OSError: The subprocess failed.
    """
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise OSError(lines[-1])
    return done.stdout


def print_line(config: pytest.Config, text: str) -> None:
    """Print a line of the plugin at the end of a session; nothing without a terminal reporter."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        from pytest_orchestrator.reports.text import IN_A_LINE

        terminal.ensure_newline()
        terminal.write_line(f"orchestrator: {text.translate(IN_A_LINE)}", yellow=True)
