"""End of a run, after its files are written: exports, hook, notification.

None of it changes the run or the exit status; an error is one line of warning.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.extras import addon
from pytest_orchestrator.core.files import gc_paused, gc_paused_for_imports
from pytest_orchestrator.core.json_values import deep_copy
from pytest_orchestrator.plugin.collection.file_matching import SUFFIXES
from pytest_orchestrator.plugin.options import follow_ups, settings
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.plugin.session_state import SessionState


_EXPORT = """\
import json, sys
from pathlib import Path
from pytest_orchestrator.plugin.session.run_end import export
print(json.dumps(export(Path(sys.argv[1]), json.loads(sys.argv[2]))))
"""


def is_asked_for(config: pytest.Config) -> bool:
    """Return True if an option, an ini key or a plugin asks for something after the run."""
    return bool(
        follow_ups.targets(config)
        or follow_ups.notify_address(config)
        or config.hook.pytest_recipe_run_finish.get_hookimpls()
    )


def exports_mistakes(state: "SessionState") -> bool:
    """Return True if a session without a step exports the recipes that cannot be collected."""
    config = state.config
    return (
        any(report.nodeid.endswith(SUFFIXES) for report in state.uncollected)
        and not config.option.collectonly
        and not hasattr(config, "workerinput")
        and is_asked_for(config)
    )


def follow_up(state: "SessionState") -> None:
    """Export the run, call the hook with its summary, and send the notification, as asked for."""
    config = state.config
    if not is_asked_for(config):
        return
    targets, address = follow_ups.targets(config), follow_ups.notify_address(config)
    hooks = config.hook.pytest_recipe_run_finish.get_hookimpls()
    try:
        done = _follow_up(state.folder.path, targets)
        for name, line in done["problems"]:
            # The line of an address has no secret, but begins as one that has: the whole address.
            print_line(config, line if name == "otel" else state.masked(line))
        page = state.folder.path / "report.html"
        more = {"report": os.path.relpath(page, config.rootpath)} if page.is_file() else {}
        summary = state.masked_value(done["summary"] | more)
        if hooks:
            _call_hook(config, summary)
        if address:
            _notify(config, address, summary)
    except Exception as error:  # noqa: BLE001 - the run is over, and keeps its exit status
        what = f"{type(error).__name__}: {error}"
        print_line(config, f"the run was not exported: {state.masked(what)}")
    except KeyboardInterrupt:
        print_line(config, "interrupted; exports and notification may be incomplete")


def _follow_up(folder: Path, targets: "Sequence[tuple[str, str]]") -> dict[str, Any]:
    """Export a run, as `export` does.

    OpenTelemetry is imported in another process, so that it does not stay in this one.
    """
    if is_large(folder) or "otel" in dict(targets):
        document: dict[str, Any] = json.loads(output_of(_EXPORT, str(folder), json.dumps(targets)))
        return document
    return export(folder, targets)


def export(folder: Path, targets: "Sequence[tuple[str, str]]") -> dict[str, Any]:
    """Export a run, and return its summary and the exports that failed.

    Args:
        folder: The folder of the run.
        targets: Pairs of format and target.

    Returns:
        Plain data: ``summary``, and ``problems``, a format and a line for each one that failed.

    Raises:
        NoRun: The journal cannot be read.
    """
    from pytest_orchestrator.reports.summary import summary_of_run

    with gc_paused():
        run = lookup.load_record(folder, raw_blocks=True)
        failed = [*addon("exports.formats").problems(run, folder, targets)] if targets else []
        return {"problems": failed, "summary": summary_of_run(run, folder.name)}


def _call_hook(config: pytest.Config, summary: dict[str, Any]) -> None:
    from pytest_orchestrator.plugin.extensions import each_result

    def problem(implementation: Any, text: str) -> None:
        plugin = implementation.plugin_name
        print_line(config, f"plugin '{plugin}': pytest_recipe_run_finish {text}")

    try:
        # A hook may change what it gets; the notification has the summary as it is.
        own = deep_copy(summary)
        for _ in each_result(config, "pytest_recipe_run_finish", problem, summary=own):
            pass
    except (pytest.exit.Exception, SystemExit) as end:
        print_line(config, f"pytest_recipe_run_finish ended: {end}")


def _notify(config: pytest.Config, address: str, summary: dict[str, Any]) -> None:
    try:
        addon("exports.webhook").post(address, summary)
    except OrchestratorError as error:
        print_line(config, f"the notification was not sent: {error}")


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
