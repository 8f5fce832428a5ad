"""Certificates of a run as files: choice of the recipes, HTML page and PDF.

The page has no script and loads nothing; its content security policy permits only its own style
and pictures within the page. The template escapes all texts of a run.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator import OrchestratorError
from pytest_orchestrator.addons.certificate.issues import issued
from pytest_orchestrator.addons.certificate.view import Certificate
from pytest_orchestrator.reading import RecipeRecord, RunRecord, by_unit, read_run
from pytest_orchestrator.rendering import (
    FOLDER,
    BrowserError,
    Look,
    browser_path,
    nearest,
    output,
    template,
    write_pdf,
)

NAME: Final = "certificate.html"
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
    page = page or folder / NAME
    try:
        issues = issued(folder, (one.key for one in recipes))
    except OSError as error:
        raise CertificateError(f"{error.filename or folder}: {error.strerror}") from None
    views = [
        Certificate(run, one, verification, number)
        for one, number in zip(recipes, issues, strict=True)
    ]
    text = html(views, look)
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
    """Return the recipes of a run that an argument names: one, or all its cells or units."""
    recipes = {one.key: one for one in by_unit(run.recipes.values())}
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


def html(all_certificates: Sequence[Certificate], look: Look) -> str:
    """Return the HTML page of certificates; each begins on a new sheet of paper.

    Args:
        all_certificates: The certificates, in order.
        look: Title and logo.
    """
    return template("certificate.html").render(
        all=all_certificates,
        look=look,
        title=_title(all_certificates, look),
        css=_raw(_css()),
        pages=_raw("\n".join(_page(number, one) for number, one in enumerate(all_certificates, 1))),
    )


def _title(all_certificates: Sequence[Certificate], look: Look) -> str:
    if len(all_certificates) == 1:
        one = all_certificates[0]
        return f"{look.title}: {one.title}, {one.name}, run {one.run_id}"
    return f"{look.title}: {len(all_certificates)} recipes"


def _page(number: int, one: Certificate) -> str:
    """Return the style of the sheets of a certificate: number, unit and page; verdict and seal."""
    font = "font: 7.5pt Helvetica, Arial, 'Liberation Sans', sans-serif; color: #545c66"
    page = '"Page " counter(page) " of " counter(pages)'
    return (
        f".c{number} {{ page: c{number} }} @page c{number} {{ "
        f'@top-left {{ content: "{one.header}"; width: 84%; {font} }} '
        f"@top-right {{ content: {page}; width: 16%; {font} }} "
        f'@bottom-left {{ content: "{one.footer}"; width: 100%; {font} }} }}'
    )


@cache
def _css() -> str:
    return (FOLDER / "certificate.css").read_text(encoding="utf-8")


def _raw(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  # files of this package and of the project, escaped strings
