"""JSON Schemas of the report block of a step and of the summary of a run."""

import inspect
import json
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pytest_orchestrator.runs.block import Block, Count, Part
from pytest_orchestrator.runs.verdicts import Word


class WholeRun(Part, frozen=True):
    """The run: the name of its folder and the run that it resumes."""

    id: str
    resumed_from: str | UnsetType = UNSET


class OfRecipe(Part, frozen=True):
    """The verdict of a recipe, its steps and sampled values by word, and marginal measurements.

    `unsafe` has the reason why the safe state of an instrument was not reached, by its name.
    """

    recipe: str
    verdict: Word
    steps: dict[str, Count]
    sampled: dict[str, Count] | UnsetType = UNSET
    marginal: Count | UnsetType = UNSET
    unsafe: dict[str, str] | UnsetType = UNSET


class Summary(Part, frozen=True):
    """The summary of a run in the JSON report.

    `empty_loops` has the steps that passed because the list of their ``foreach`` was empty.
    """

    schema_version: Annotated[str, Meta(pattern=r"^1\.\d+$")]
    recipes: list[OfRecipe]
    steps: dict[str, Count]
    sampled: dict[str, Count] | UnsetType = UNSET
    run: WholeRun | UnsetType = UNSET
    flaky: list[str] | UnsetType = UNSET
    empty_loops: list[str] | UnsetType = UNSET
    marginal: Count | UnsetType = UNSET


SHIPPED: Final = Path(__file__).parents[1] / "schema" / "report.json"
"""File of the schema of blocks in the package."""

SHIPPED_SUMMARY: Final = SHIPPED.with_name("run.json")
"""File of the schema of summaries in the package."""

_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"


def text() -> str:
    """Return the text of the file with the schema of blocks."""
    return json.dumps(block_schema(), indent=2, ensure_ascii=False) + "\n"


def summary_text() -> str:
    """Return the text of the file with the schema of summaries."""
    return json.dumps(summary_schema(), indent=2, ensure_ascii=False) + "\n"


def block_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of a block.

    Args:
        strict: True if an unknown field is an error. Readers of reports must accept fields that
            a later version adds.
    """
    return _schema(Block, "Block of a step", strict=strict)


def summary_schema(*, strict: bool = False) -> dict[str, Any]:
    """Return the schema of the summary of a run.

    Args:
        strict: As for `block_schema`.
    """
    return _schema(Summary, "Summary of a run", strict=strict)


def _schema(kind: type, title: str, *, strict: bool) -> dict[str, Any]:
    (root,), components = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema = {"$schema": _DRAFT, "title": title, **root, "$defs": components}
    for definition in components.values():
        definition.pop("title", None)
        if "description" in definition:  # Python before 3.13 keeps the indentation of docstrings
            definition["description"] = inspect.cleandoc(definition["description"])
        if strict and "properties" in definition:
            definition["additionalProperties"] = False
    return schema
