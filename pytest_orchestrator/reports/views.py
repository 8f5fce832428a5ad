"""Files that are made from a journal: `report.html` and graphs of recipes."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.core.files import output, replacing
from pytest_orchestrator.reports.graph.nodes import Steps
from pytest_orchestrator.reports.graph.picture import PICTURES
from pytest_orchestrator.reports.html.render import NAME, pieces
from pytest_orchestrator.runs.folder import RunFile, subfolder_parts
from pytest_orchestrator.runs.index.past_runs import earlier
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord

if TYPE_CHECKING:
    from pytest_orchestrator.reports.head.look import Look

ASSETS: Final = "assets"


def write_page(
    run: RunRecord,
    folder: Path,
    page: Path | None = None,
    most_bytes: int | None = None,
    brand: "Look | None" = None,
    on_failure: Callable[[str], None] | None = None,
) -> Path:
    """Write the HTML page of a run.

    Args:
        run: The run.
        folder: Its folder.
        page: The file to write; None means `NAME` in the folder of the run.
        most_bytes: Largest total size of the history of earlier runs that is read; None means all.
        brand: Title and logo of the project; None without.
        on_failure: Receives a sentence if the index of the history cannot be used.

    Returns:
        The file.

    Raises:
        OSError: The page cannot be written.
    """
    page = page or folder / NAME
    before = earlier(run, folder, most_bytes, on_failure)
    with output(page) as file:
        for piece in pieces(run, folder, page, before, brand):
            file.write(piece.encode(errors="backslashreplace"))
    return page


def write_all(
    run: RunRecord, folder: Path, root: Path, brand: tuple[str, str], most_bytes: int
) -> str:
    """Write the HTML page of a finished run, and the graphs of its recipes.

    Args:
        run: The run.
        folder: Its folder.
        root: The rootdir of the project.
        brand: Title of the project and path of its logo; each may be empty.
        most_bytes: Largest total size of the history of earlier runs that is read.

    Returns:
        A sentence if a file could not be written, or the index of the history cannot be used; else
        empty.
    """
    notes: list[str] = []
    try:
        look = None
        if any(brand):
            from pytest_orchestrator.reports.head.look import brand_of

            look = brand_of(root, *brand)
        write_pictures(run, folder)
        write_page(run, folder, most_bytes=most_bytes, brand=look, on_failure=notes.append)
    except (OSError, ValueError) as error:
        return f"report.html could not be written: {error}"
    return "".join(notes)


def write_pictures(run: RunRecord, folder: Path) -> None:
    """Write the graphs of the recipes of a run, with the outcomes of their steps.

    Raises:
        OSError: A file cannot be written.
    """
    for recipe in run.recipes.values():
        names = subfolder_parts(recipe.about.get("path", recipe.key), _cell(recipe))
        path = RunFile("/".join((ASSETS, *names))).inside(folder)
        if path is None:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        steps = steps_of(recipe)
        for suffix, draw in PICTURES.items():
            with replacing(path.with_name(f"{path.name}.{suffix}")) as file:
                file.write(draw(steps).encode(errors="backslashreplace"))


def steps_of(recipe: RecipeRecord) -> Steps:
    """Return the steps of a recipe in the form that the functions of `reports.graph` accept."""
    return [_step(step) for step in recipe.steps.values()]


def _step(step: StepRecord) -> dict[str, Any]:
    graph_step = step.about | {"name": step.name, "state": step.word}
    resources = step.block.resources if step.block else None
    return graph_step | ({"seconds": resources.seconds} if resources else {})


def _cell(recipe: RecipeRecord) -> str | None:
    cell: str | None = recipe.about.get("cell")
    return cell
