"""Rendering of certificates as one HTML page for printing.

The page has no script and loads nothing; its content security policy permits only its own style
and pictures within the page. The template escapes all texts of a run.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any, Final

from pytest_orchestrator.addons.certificate.view import Certificate
from pytest_orchestrator.rendering import FOLDER, Look, template

NAME: Final = "certificate.html"


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
    """Return the style of the sheets of a certificate: its foot names unit, run and seal."""
    font = "font: 7.5pt Helvetica, Arial, 'Liberation Sans', sans-serif; color: #545c66"
    return (
        f".c{number} {{ page: c{number} }} @page c{number} {{ "
        f'@bottom-left {{ content: "{one.footer}"; width: 88%; {font} }} '
        f'@bottom-right {{ content: counter(page) " / " counter(pages); width: 12%; {font} }} }}'
    )


@cache
def _css() -> str:
    return (FOLDER / "certificate.css").read_text(encoding="utf-8")


def _raw(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  # files of this package and of the project, escaped strings
