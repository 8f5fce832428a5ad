"""Generate the files that are not in git: `python -m scripts.generate`.

Each build runs it; run it after a change of a template, of the recipe language, of station files,
or of the report. A test fails while the files are not current.
"""

from collections.abc import Iterator
from pathlib import Path

from pytest_orchestrator.recipe import editor_schema, station_schema
from pytest_orchestrator.reports import block_schema
from scripts import templates


def generated() -> Iterator[tuple[Path, str]]:
    """Yield the path and the text of each generated file."""
    yield editor_schema.SHIPPED, editor_schema.text()
    yield station_schema.SHIPPED, station_schema.text()
    yield block_schema.SHIPPED, block_schema.text()
    yield block_schema.SHIPPED_SUMMARY, block_schema.summary_text()
    yield from templates.modules()


def main() -> None:
    """Write the files; one that is current keeps its time, and so its bytecode."""
    for path, text in generated():
        path.parent.mkdir(exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
