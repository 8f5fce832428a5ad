"""Certificates of a run for `report --certificate`: choice of the recipes, HTML page and PDF."""

from pathlib import Path
from typing import TYPE_CHECKING

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.cli.project import project, run_folder

if TYPE_CHECKING:
    from pytest_orchestrator.cli.project import Project
    from pytest_orchestrator.reports.head.look import Look
    from pytest_orchestrator.runs.record import RecipeRecord, RunRecord

_MOST_NAMES = 5


def write_certificates(
    name: str, recipe: str | None, page: Path | None, pdf: Path | None
) -> list[Path]:
    """Write the certificates of a run.

    Args:
        name: The run, as `ONE_RUN` describes it.
        recipe: Key, path or name of a recipe; None means all recipes of the run.
        page: The HTML file; None means in the folder of the run.
        pdf: The PDF file; None means no PDF.

    Returns:
        The files that were written.

    Raises:
        UsageError: The run or the recipe does not exist, a setting is wrong, or a file cannot be
            written.
    """
    from pytest_orchestrator.addons.certificate.render import NAME, html
    from pytest_orchestrator.addons.certificate.view import certificates
    from pytest_orchestrator.core.files import output
    from pytest_orchestrator.reports.pictures import chromium as printer
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.journal.reader import read_journal
    from pytest_orchestrator.runs.journal.writer import NAME as JOURNAL
    from pytest_orchestrator.runs.verify import verify_reading

    folder = run_folder(name)
    try:
        if pdf is not None:
            printer.browser_path()  # before anything is written
        # One reading for both, so that the seal proves what the certificate shows.
        reading = read_journal(folder / JOURNAL)
    except printer.BrowserError as error:
        raise UsageError(str(error)) from None
    except OSError as error:
        raise UsageError(f"{folder} has no journal: {error.strerror}") from None
    run = lookup.record_of(reading)
    chosen = _chosen(run, folder.name, recipe)
    text = html(certificates(run, verify_reading(folder, reading), chosen), _look())
    page = page or folder / NAME
    written = [page]
    try:
        with output(page) as file:
            file.write(text.encode(errors="backslashreplace"))
        if pdf is not None:
            written.append(pdf)
            printer.write_pdf(page, pdf)
    except printer.BrowserError as error:
        raise UsageError(f"{error}; {page} is written") from None
    except OSError as error:
        raise UsageError(f"{written[-1]}: {error.strerror}") from None
    return written


def _chosen(run: "RunRecord", folder: str, recipe: str | None) -> "list[RecipeRecord]":
    """Return the recipes of a run that an argument names: one, or all cells of its matrix."""
    recipes = run.recipes
    if not recipes:
        raise UsageError(f"run {folder} has no recipe that a certificate could be about")
    if recipe is None:
        return [*recipes.values()]
    if recipe in recipes:
        return [recipes[recipe]]
    chosen = [
        one for one in recipes.values() if recipe in (one.about.get("path"), one.about.get("name"))
    ]
    if not chosen:
        from pytest_orchestrator.core.suggestions import nearest

        names = [*recipes]
        shown = ", ".join(names[:_MOST_NAMES]) + " …" * (len(names) > _MOST_NAMES)
        hint = nearest(recipe, names) or f"; it has {shown}"
        raise UsageError(f"run {folder} has no recipe '{recipe}'{hint}")
    return chosen


def brand() -> "Look | None":
    """Return the look of the project for `report.html`; None without.

    Raises:
        UsageError: An ini key is wrong.
    """
    from pytest_orchestrator.reports.head.look import LookError, brand_of

    try:
        about = project()
        return brand_of(about.root, *_look_keys(about))
    except LookError as error:
        raise UsageError(str(error)) from None


def _look_keys(about: "Project") -> tuple[str, str]:
    """Return the values of `report_title` and `report_logo`; each may be empty."""
    return about.text("report_title"), about.text("report_logo")


def _look() -> "Look":
    """Return title and logo of the project.

    Raises:
        UsageError: An ini key is wrong.
    """
    from pytest_orchestrator.reports.head.look import LookError, look_of

    try:
        about = project()
        return look_of(about.root, *_look_keys(about))
    except LookError as error:
        raise UsageError(str(error)) from None
