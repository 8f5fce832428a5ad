"""Compile the templates of the reports: `python -m scripts.templates`.

The modules of `pytest_orchestrator/reports/compiled` are written anew. A test fails while they are
not those of the templates and of the installed Jinja2.
"""

from collections.abc import Iterator
from pathlib import Path

import jinja2

from pytest_orchestrator.reports import templating
from pytest_orchestrator.reports.html import render

COMPILED = templating.FOLDER.with_name("compiled")
_USED = "from jinja2.runtime import "


def environment() -> jinja2.Environment:
    """Return Jinja2's environment of the templates, with the filters of this package only."""
    render.add_filters()
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(templating.FOLDER),
        autoescape=True,
        finalize=templating.Environment.finalize,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters = dict(templating.Environment.filters)
    made.tests = dict(templating.Environment.tests)
    made.globals = dict(templating.Environment.globals)
    return made


def module_text(code: str, name: str) -> str:
    """Return the text of a module for the code that Jinja2 made of a template.

    Raises:
        ValueError: This version of Jinja2 makes other code.
    """
    head, _, rest = code.partition("\n")
    if not head.startswith(_USED):
        raise ValueError(f"Jinja2 {jinja2.__version__} begins a module with {head!r}")
    names = sorted(one for one in head.removeprefix(_USED).split(", ") if one in rest)
    names.append("Environment as environment")
    imports = f"from pytest_orchestrator.reports.templating import {', '.join(names)}"
    about = f'"""`templates/{name}`, compiled by Jinja2 {jinja2.__version__}."""'
    return f"{about}\n\n{imports}\n{rest}\n"


def modules() -> Iterator[tuple[Path, str]]:
    """Yield the file and the text of each compiled module."""
    jinja = environment()
    for file in sorted((*templating.FOLDER.glob("*.html"), *templating.FOLDER.glob("*.svg"))):
        code = jinja.compile(file.read_text(encoding="utf-8"), file.name, file.name, raw=True)
        yield COMPILED / f"{file.stem}.py", module_text(code, file.name)


def main() -> None:
    """Write the compiled modules."""
    for path, text in modules():
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
