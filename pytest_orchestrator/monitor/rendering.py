"""Rendering of the pages of the monitor by Jinja2.

The templates use the macros of `report.html`, so that a step, a measurement and a log look the
same in both.
"""

import time
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pytest_orchestrator.reports import quantities, templating
from pytest_orchestrator.reports.html.render import add_filters
from pytest_orchestrator.reports.html.render import favicon as favicon_of
from pytest_orchestrator.reports.text import shown

if TYPE_CHECKING:
    import jinja2

FOLDER: Final = Path(__file__).with_name("templates")
"""Folder of the templates."""


@cache
def environment() -> "jinja2.Environment":
    """Return the environment of all templates of the monitor."""
    import jinja2

    made = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: shown(value) if type(value) is str else value,
        # A template of the reports whose name this folder has too is `templates/NAME`.
        loader=jinja2.FileSystemLoader([FOLDER, templating.FOLDER, templating.FOLDER.parent]),
    )
    add_filters()
    made.filters.update(templating.Environment.filters)
    made.filters["local_clock"] = lambda ts: quantities.local_time(ts)[11:19]
    made.globals.update(templating.Environment.globals)
    made.globals["favicon"] = favicon_of
    made.globals["now"] = time.time
    return made


def render(name: str, **values: Any) -> str:
    """Return a page.

    Args:
        name: File name of its template.
        values: The variables of the template.
    """
    return environment().get_template(name).render(values)
