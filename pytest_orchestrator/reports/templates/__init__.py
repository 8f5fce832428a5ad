"""The templates of what is made for a browser, and how they are filled in."""

import functools
from importlib.util import cache_from_source
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.reports.safe_text import shown

if TYPE_CHECKING:
    from jinja2 import Environment, Template

FOLDER = Path(__file__).parent


@functools.cache
def environment() -> "Environment":
    """Return what knows the templates: all text that is filled in is escaped, and harmless."""
    from jinja2 import Environment, FileSystemLoader

    from pytest_orchestrator.reports.templates.compiled import Compiled

    return Environment(
        loader=FileSystemLoader([FOLDER, FOLDER.with_name("vendor")]),
        autoescape=True,
        bytecode_cache=Compiled(Path(cache_from_source(str(FOLDER / "page.py"))).parent),
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _shown(value: Any) -> Any:
    # Some eighty times in each step of a page, and nearly always there is nothing to escape.
    if type(value) is not str or (value.isascii() and value.isprintable()):
        return value
    return shown(value)


def template(name: str) -> "Template":
    """Return a template by the name of its file."""
    return environment().get_template(name)
