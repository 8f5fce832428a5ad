"""The JSON Schemas of what JSON reports have from here: blocks of steps, summary of the run."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.reports.block_types import Block, Summary

SHIPPED: Final = Path(__file__).parents[1] / "schema" / "report.json"
"""The schema of blocks as the wheel has it."""

SHIPPED_SUMMARY: Final = SHIPPED.with_name("run.json")
"""The schema of summaries as the wheel has it."""

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def text() -> str:
    """Return the schema of blocks as the text of a file."""
    return json.dumps(block_schema(), indent=2, ensure_ascii=False) + "\n"


def summary_text() -> str:
    """Return the schema of summaries as the text of a file."""
    return json.dumps(summary_schema(), indent=2, ensure_ascii=False) + "\n"


def block_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of a block.

    Args:
        strict: A field that today's version does not have is an error. Readers of reports
            take what a later version adds.
    """
    return _schema(Block, "Block of a step", strict=strict)


def summary_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of the summary of a run.

    Args:
        strict: As `block_schema` has it.
    """
    return _schema(Summary, "Summary of a run", strict=strict)


def _schema(kind: type, title: str, *, strict: bool) -> dict[str, Any]:
    (found,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    told = {"$schema": _DRAFT, "title": title, **found, "$defs": components}
    for definition in components.values():
        definition.pop("title", None)
        if not strict:
            definition.pop("additionalProperties", None)
    return told
