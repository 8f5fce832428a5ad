"""Rendering of `report.html`.

Templates escape all names, values and outputs of a run. The content security policy of the page
permits only one script: the one of this package, by its digest.
"""

import base64
import hashlib
import os
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from pytest_orchestrator.reports import quantities
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.html.output import coloured
from pytest_orchestrator.reports.html.overview import Overview
from pytest_orchestrator.reports.html.page import ROWS, Page
from pytest_orchestrator.reports.html.timeline import Timeline, rows, tick_text
from pytest_orchestrator.reports.templating import FOLDER, Environment, template
from pytest_orchestrator.reports.text import look, sign
from pytest_orchestrator.runs.record import RunRecord
from pytest_orchestrator.runs.verdicts import NOT_GOOD

if TYPE_CHECKING:
    from pytest_orchestrator.reports.head.look import Look
    from pytest_orchestrator.reports.html.trends import Earlier

NAME: Final = "report.html"

SCRIPTS: Final = ("list-2.3.1.min.js", "page.js")
"""Files of the script of the page."""
STYLES: Final = ("page.css",)
"""Files of its style."""
_ICONS: Final = {
    "passed": ("116329", "M4 8.5l3 3 5-7"),
    "failed": ("a40e26", "M5 5l6 6M11 5l-6 6"),
    "blocked": ("7d4e00", "M8 4v5M8 12v.1"),
    "running": ("0550ae", "M6 4.5l5 3.5-5 3.5z"),
    "waiting": ("57606a", "M8 4v5M8 12v.1"),
}
"""Colour and path of the icon of the page, by style of the verdict."""


def html(
    run: RunRecord,
    folder: Path,
    page: Path | None = None,
    earlier: "Earlier | None" = None,
    brand: "Look | None" = None,
) -> str:
    """Return the HTML page of a run.

    Args:
        run: The run.
        folder: Its folder.
        page: Path at which the caller stores the page; None means in the folder of the run.
        earlier: The earlier runs of its recipes; None without.
        brand: Title and logo of the project; None without.
    """
    return _text(_page(run, folder, page, earlier), brand)


def pieces(
    run: RunRecord,
    folder: Path,
    page: Path,
    earlier: "Earlier | None" = None,
    brand: "Look | None" = None,
) -> Iterator[str]:
    """Yield the text of `html` in pieces: each step is made when the ones before are written."""
    made = _page(run, folder, page, earlier)
    steps: list[Iterator[str]] = []
    made.later = steps
    for part, listed in zip(_text(made, brand).split(ROWS), [*steps, ()], strict=True):
        yield part
        yield from listed


def _page(run: RunRecord, folder: Path, page: Path | None, earlier: "Earlier | None") -> Page:
    base = "" if page is None else _base(page.absolute().parent, folder.absolute())
    return Page(run, folder, base, earlier)


def _text(page_view: Page, brand: "Look | None") -> str:
    script = source_of(SCRIPTS)
    add_filters()
    return template("page.html").render(
        page=page_view,
        overview=Overview(page_view),
        brand=brand,
        icon=favicon(page_view.look),
        base=page_view.base,
        script=_raw(script),
        digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


def favicon(look: str) -> str:
    """Return the icon of a page, by the style of its verdict, as a data URL."""
    colour, path = _ICONS.get(look, _ICONS["waiting"])
    return (
        "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
        f"%3Crect width='16' height='16' rx='4' fill='%23{colour}'/%3E%3Cpath d='{path}' "
        "stroke='white' stroke-width='2.4' stroke-linecap='round' fill='none'/%3E%3C/svg%3E"
    )


def _base(start: Path, stop: Path) -> str:
    """Return the prefix of links from a page in one folder to files in another folder."""
    path = os.path.relpath(stop, start)
    return "" if path == "." else quote(Path(path).as_posix()) + "/"


@cache
def add_filters() -> None:
    """Add the filters and functions of the page to those of all templates."""
    Environment.filters.update(
        {
            "cut": report_text.cut,
            "json_text": report_text.json_text,
            "look": look,
            "sign": sign,
            "duration": quantities.duration,
            "rerun": report_text.rerun,
            "moment": quantities.local_time,
            "utc": quantities.utc_time,
            "percent": _percent,
            "clock": lambda ts: ts[11:23],
            "tick": tick_text,
            "rows": rows,
            "has": _has,
            "has_word": _has_word,
            "size": report_text.size,
            "coloured": coloured,
        }
    )
    Environment.globals.update({"source": _source, "graph": _graph, "not_good": NOT_GOOD})


def _has(line: Timeline, kind: str) -> bool:
    return any(span.kind == kind for bar in line.bars for span in bar.spans)


def _has_word(line: Timeline, word: str) -> bool:
    return any(bar.step.word == word for bar in line.bars)


def _percent(part: float, whole: float) -> str:
    return f"{100 * part / whole:.4g}"


def _raw(text: str) -> Any:
    from markupsafe import Markup

    return Markup(text)  # noqa: S704  # a file of this package, or the output of a template


def _graph(wide: Mapping[str, Any], narrow: Mapping[str, Any] | None) -> Any:
    """Return the picture of a graph, and the one for narrow screens if there is one."""
    draw = template("graph.svg").render
    text = draw(wide, alone=False, screen=" wide" if narrow else "")
    return _raw(text + draw(narrow, alone=False, screen=" narrow") if narrow else text)


@cache
def _file(name: str) -> str:
    for folder in (FOLDER, FOLDER.with_name("vendor")):
        if (folder / name).is_file():
            return (folder / name).read_text(encoding="utf-8")
    raise FileNotFoundError(name)


def _source(name: str) -> Any:
    return _raw(_file(name))


@cache
def source_of(names: tuple[str, ...]) -> str:
    """Return the script or the style of a page: files of this package, joined."""
    return "\n".join(_file(name).strip() for name in names)
