"""Rendering of the pages about many runs.

Templates escape all texts. The content security policy permits only the script of this package, by
its digest, and the pages load nothing.
"""

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.core.files import gc_paused, output
from pytest_orchestrator.reports.html.render import add_filters, source_of
from pytest_orchestrator.reports.statistics.view import StatisticsPage
from pytest_orchestrator.reports.templating import Markup, template

if TYPE_CHECKING:
    from pytest_orchestrator.reports.head.look import Look

_SCRIPTS: Final = ("page.js",)


def statistics_html(page: StatisticsPage, brand: "Look | None" = None) -> str:
    """Return the HTML page of statistics.

    Args:
        page: The view of the statistics.
        brand: Title and logo of the project; None without.
    """
    return _render("statistics.html", page, brand)


def write_html(path: Path, text: str) -> None:
    """Write a page, in place of an earlier one.

    Raises:
        OSError: The page cannot be written.
    """
    with output(path) as file:
        file.write(text.encode(errors="backslashreplace"))


def _render(name: str, page: StatisticsPage, brand: "Look | None") -> str:
    add_filters()
    script, digest = _script()
    with gc_paused():
        return template(name).render(
            page=page,
            brand=brand,
            script=Markup(script),  # a file of this package
            digest=digest,
        )


@cache
def _script() -> tuple[str, str]:
    script = source_of(_SCRIPTS)
    return script, base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
