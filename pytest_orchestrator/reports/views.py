"""Files made of a journal: `report.html` and pictures of recipes."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator.reports.graph.layout import Steps
from pytest_orchestrator.reports.graph.picture import PICTURES
from pytest_orchestrator.reports.html.render import NAME, html
from pytest_orchestrator.reports.trends import trends
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.folder import RunFile, parts
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord

ASSETS: Final = "assets"


def write_page(
    run: RunRecord,
    folder: Path,
    page: Path | None = None,
    before: Iterable[Path] | None = None,
    most_bytes: int | None = None,
) -> Path:
    """Write the page of a run.

    Args:
        run: The run.
        folder: Its folder.
        page: The file; `NAME` in the folder of the run where None.
        before: Folders of the runs before it, the newest first; those beside it where None.
        most_bytes: How much of the journals of those is read; None is all.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written.
    """
    if before is None:
        before = lookup.earlier_runs(folder)
    page = page or folder / NAME
    text = html(run, folder, page, trends(run, before, most_bytes))
    _replace(page, text)
    return page


def write_all(folder: Path, most_bytes: int) -> None:
    """Write the page of a run that is over, and the pictures of its recipes.

    Args:
        folder: Its folder.
        most_bytes: How much of the journals of runs before it is read.

    Raises:
        OSError: They cannot be written.
    """
    run = lookup.load_record(folder)
    write_pictures(run, folder)
    write_page(run, folder, most_bytes=most_bytes)


def write_pictures(run: RunRecord, folder: Path) -> None:
    """Write the pictures of the recipes of a run, with what became of their steps.

    Raises:
        OSError: They cannot be written.
    """
    for recipe in run.recipes.values():
        way = parts(recipe.about.get("path", recipe.key), _cell(recipe))
        path = RunFile("/".join((ASSETS, *way))).inside(folder)
        if path is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        for suffix, draw in PICTURES.items():
            _replace(path.with_name(f"{path.name}.{suffix}"), draw(steps_of(recipe)))


def steps_of(recipe: RecipeRecord) -> Steps:
    """Return the steps of a recipe as pictures show them."""
    return [_step(step) for step in recipe.steps.values()]


def _step(step: StepRecord) -> dict[str, Any]:
    told = step.about | {"name": step.name, "state": step.state}
    used = (step.block or {}).get("resources", {})
    return told | ({"seconds": used["seconds"]} if "seconds" in used else {})


def _cell(recipe: RecipeRecord) -> str | None:
    cell: str | None = recipe.about.get("cell")
    return cell


def _replace(path: Path, text: str) -> None:
    """Write a file in one step: whoever opens it has the old one or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)  # perhaps a link that leads elsewhere
        with fresh.open("x", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        fresh.replace(path)
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()
