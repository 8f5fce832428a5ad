"""The JSON Schema of the block of a step, for programs that read reports."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.reports.block_types import Block

SHIPPED: Final = Path(__file__).parents[1] / "schema" / "report.json"
"""The schema as the wheel has it."""

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def text() -> str:
    """Return the schema as the text of a file."""
    return json.dumps(block_schema(), indent=2, ensure_ascii=False) + "\n"


def block_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of a block.

    Args:
        strict: A field that today's version does not have is an error. Readers of reports
            take what a later version adds.
    """
    (found,), components = msgspec.json.schema_components([Block], ref_template="#/$defs/{name}")
    told = {"$schema": _DRAFT, "title": "Block of a step", **found, "$defs": components}
    for definition in components.values():
        definition.pop("title", None)
        if not strict:
            definition.pop("additionalProperties", None)
    return told
