"""End of a run, after its files are written: exports, hook, notification.

None of it changes the run or the exit status; an error is one line of warning.
"""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.extras import addon
from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.core.json_values import deep_copy
from pytest_orchestrator.plugin.collection.file_matching import SUFFIXES
from pytest_orchestrator.plugin.options import follow_ups
from pytest_orchestrator.plugin.session.run_files import is_large, output_of, print_line
from pytest_orchestrator.runs import lookup

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
