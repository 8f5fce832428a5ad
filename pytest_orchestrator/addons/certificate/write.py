"""Certificates of a run as files: choice of the recipes, HTML page and PDF."""

from pathlib import Path

from pytest_orchestrator import OrchestratorError
from pytest_orchestrator.addons.certificate.render import NAME, html
from pytest_orchestrator.addons.certificate.view import certificates
from pytest_orchestrator.reading import RecipeRecord, RunRecord, read_run
from pytest_orchestrator.rendering import (
    BrowserError,
    Look,
    browser_path,
    nearest,
    output,
    write_pdf,
)

_MOST_NAMES = 5


class CertificateError(OrchestratorError):
    """Error: a certificate cannot be made or written."""

    slug = "certificate"


def write(
    folder: Path, recipe: str | None, page: Path | None, pdf: Path | None, look: Look
) -> tuple[list[Path], list[str]]:
    """Write the certificates of a run.

    Args:
        folder: The folder of the run.
        recipe: Key, path or name of a recipe; None means all recipes of the run.
        page: The HTML file; None means in the folder of the run.
        pdf: The PDF file; None means no PDF.
        look: Title and logo.

    Returns:
        The files that were written, and a line for each recipe whose certificate is not PASSED.

    Raises:
        CertificateError: The recipe does not exist, or a file cannot be read or written.
    """
    try:
        if pdf is not None:
            browser_path()  # before anything is written
        run, verification = read_run(folder)
    except BrowserError as error:
        raise CertificateError(str(error)) from None
    except OSError as error:
        raise CertificateError(f"{folder} has no journal: {error.strerror}") from None
    recipes = _chosen(run, folder.name, recipe)
    views = certificates(run, verification, recipes)
    text = html(views, look)
    page = page or folder / NAME
    written = [page]
    try:
        with output(page) as file:
            file.write(text.encode(errors="backslashreplace"))
        if pdf is not None:
            written.append(pdf)
            write_pdf(page, pdf)
    except BrowserError as error:
        raise CertificateError(f"{error}; {page} is written") from None
    except OSError as error:
        raise CertificateError(f"{written[-1]}: {error.strerror}") from None
    verdicts = zip(recipes, views, strict=True)
    return written, [f"{one.key}: {view.title}" for one, view in verdicts if view.word != "passed"]


def _chosen(run: RunRecord, folder: str, recipe: str | None) -> list[RecipeRecord]:
    """Return the recipes of a run that an argument names: one, or all cells of its matrix."""
    recipes = run.recipes
    if not recipes:
        raise CertificateError(f"run {folder} has no recipe that a certificate could be about")
    if recipe is None:
        return [*recipes.values()]
    if recipe in recipes:
        return [recipes[recipe]]
    chosen = [
        one for one in recipes.values() if recipe in (one.about.get("path"), one.about.get("name"))
    ]
    if not chosen:
        names = [*recipes]
        shown = ", ".join(names[:_MOST_NAMES]) + " …" * (len(names) > _MOST_NAMES)
        hint = nearest(recipe, names) or f"; it has {shown}"
        raise CertificateError(f"run {folder} has no recipe '{recipe}'{hint}")
    return chosen
