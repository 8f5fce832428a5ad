"""End of a run, after its journal is sealed: report page, exports, hook, notification.

None of it changes the run or the exit status; an error is one line of warning.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.plugin.options import follow_ups, settings
from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.reports.certificate.look import Look

_BEFORE = 1_000_000
"""Maximum bytes of earlier journals that are read for trends, so that the end is fast."""

_LARGE = 8_000_000
"""Size of a journal, in bytes, from which another process reads it. It has some 5,000 steps;
reading it takes ten times the memory of pytest, which pytest would not release."""

_WRITE_PAGES = f"""\
import sys
from pathlib import Path
from pytest_orchestrator.reports.certificate.look import brand_of
from pytest_orchestrator.reports.views import write_all
try:
    write_all(Path(sys.argv[1]), {_BEFORE}, brand_of(Path(sys.argv[2]), *sys.argv[3:]))
except (OSError, ValueError) as error:
    sys.exit(str(error))
"""

_EXPORT = """\
import json, sys
from pathlib import Path
from pytest_orchestrator.reports.export.follow_up import follow_up
print(json.dumps(follow_up(Path(sys.argv[1]), json.loads(sys.argv[2]))))
"""


def write_pages(config: pytest.Config, folder: Path) -> None:
    """Write the HTML page and the pictures, unless ``recipe_html`` is false.

    An error is printed and does not change the run; the page can be rebuilt later.
    """
    if not config.getini("recipe_html"):
        return
    with gc_paused():
        from pytest_orchestrator.reports.views import write_all

    brand = settings.brand(config)
    try:
        if _is_large(folder):
            _output_of(_WRITE_PAGES, str(folder), str(config.rootpath), *brand)
        else:
            write_all(folder, _BEFORE, _brand(config.rootpath, brand))
    except (OSError, ValueError) as error:
        _print_line(config, f"report.html could not be written: {error}")


def follow_up(state: "SessionState") -> None:
    """Export the run, call the hook with its summary, and send the notification, as asked for."""
    config = state.config
    targets, address = follow_ups.targets(config), follow_ups.notify_address(config)
    hooks = config.hook.pytest_recipe_run_finish.get_hookimpls()
    if not (targets or address or hooks):
        return
    try:
        done = _follow_up(state.folder.path, targets)
        for line in done["problems"]:
            _print_line(config, state.masked(line))
        page = state.folder.path / "report.html"
        more = {"report": os.path.relpath(page, config.rootpath)} if page.is_file() else {}
        summary = state.masked_value(done["summary"] | more)
        if hooks:
            _call_hook(config, summary)
        if address:
            _notify(config, address, summary)
    except (OSError, ValueError) as error:
        _print_line(config, f"the run was not exported: {state.masked(str(error))}")
    except KeyboardInterrupt:
        _print_line(config, "interrupted; exports and notification may be incomplete")


def _follow_up(folder: Path, targets: "Mapping[str, str]") -> dict[str, Any]:
    """Export a run; return its summary and the lines of the exports that failed.

    OpenTelemetry is imported in another process, so that it does not stay in this one.
    """
    if _is_large(folder) or "otel" in targets:
        document: dict[str, Any] = json.loads(_output_of(_EXPORT, str(folder), json.dumps(targets)))
        return document
    from pytest_orchestrator.reports.export import follow_up

    return follow_up.follow_up(folder, targets)


def _call_hook(config: pytest.Config, summary: dict[str, Any]) -> None:
    from pytest_orchestrator.plugin.extensions import each_result

    def problem(implementation: Any, text: str) -> None:
        plugin = implementation.plugin_name
        _print_line(config, f"plugin '{plugin}': pytest_recipe_run_finish {text}")

    try:
        for _ in each_result(config, "pytest_recipe_run_finish", problem, summary=summary):
            pass
    except pytest.exit.Exception as end:
        _print_line(config, f"pytest_recipe_run_finish ended: {end}")


def _notify(config: pytest.Config, address: str, summary: dict[str, Any]) -> None:
    from pytest_orchestrator.reports.export.formats import ExportError
    from pytest_orchestrator.reports.export.webhook import post

    try:
        post(address, summary)
    except ExportError as error:
        _print_line(config, f"the notification was not sent: {error}")


def _is_large(folder: Path) -> bool:
    return (folder / JOURNAL).stat().st_size > _LARGE


def _brand(root: Path, brand: tuple[str, str, str]) -> "Look | None":
    """Return the look of the project; None without, as in most sessions."""
    if not any(brand):
        return None
    from pytest_orchestrator.reports.certificate.look import brand_of

    return brand_of(root, *brand)


def _output_of(program: str, *arguments: str) -> str:
    """Run a Python program in a subprocess and return its output.

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


def _print_line(config: pytest.Config, text: str) -> None:
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None:
        from pytest_orchestrator.reports.text import IN_A_LINE

        terminal.ensure_newline()
        terminal.write_line(f"orchestrator: {text.translate(IN_A_LINE)}", yellow=True)
