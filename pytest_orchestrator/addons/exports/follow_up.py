"""Exports and summary of a run that has just ended, in its own process or in another one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_orchestrator.addons.exports.formats import problems
from pytest_orchestrator.addons.exports.webhook import summary
from pytest_orchestrator.core.files import gc_paused
from pytest_orchestrator.runs import lookup


def follow_up(folder: Path, targets: Mapping[str, str]) -> dict[str, Any]:
    """Export a run, and return its summary and the exports that failed.

    Args:
        folder: The folder of the run.
        targets: The target of each format, by name.

    Returns:
        Plain data: ``summary``, and ``problems``, a line by name for each format that failed.

    Raises:
        NoRun: The journal cannot be read.
    """
    with gc_paused():
        run = lookup.load_record(folder, raw_blocks=True)
        return {"problems": dict(problems(run, folder, targets)), "summary": summary(run, folder)}
