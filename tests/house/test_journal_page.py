"""The page of events shows the docstrings of the events and their fields."""

import inspect
import re
from pathlib import Path
from typing import get_args

import pytest

from pytest_orchestrator.core.events import AnyEvent, Event

PAGE = (Path(__file__).parents[2] / "docs/reference/events.md").read_text(encoding="utf-8")

COMMON = PAGE.partition("\n## ")[0].splitlines()


def table(kind: type[Event]) -> str:
    """Return the section of an event, built from its docstring."""
    head, _, attributes = (inspect.getdoc(kind) or "").partition("Attributes:\n")
    fields = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", attributes, re.MULTILINE)
    texts = {name: " ".join(text.split()) for name, text in fields}
    rows = [f"| `{name}` | {texts[name]} |" for name in kind.__struct_fields__]
    rows = [row for row in rows if row not in COMMON]  # said once, at the top of the page
    heading = f"## `{kind.__struct_config__.tag}`"
    body = ["| field | meaning |", "| --- | --- |", *rows]
    return "\n".join([heading, "", " ".join(head.split()), "", *body])


@pytest.mark.parametrize("kind", get_args(AnyEvent), ids=lambda kind: kind.__name__)
def test_an_event_has_its_section_and_a_row_for_each_field(kind: type[Event]) -> None:
    assert table(kind) in PAGE
