"""Rows of `test_meta`: labels, and the values of nested keys with their names."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from pytest_orchestrator.reports.text import cut, json_text

LABELS: Final = {
    "dut": "Unit under test",
    "test_id": "Test ID",
    "batch": "Batch",
    "operator": "Operator",
    "tester": "Tester",
    "station": "Station",
    "description": "Description",
    "limits_document": "Limits document",
    "limits_doc": "Limits document",
}
"""Labels of the keys of `test_meta` that come first, in their order on the certificate."""
FIXED: Final = ("dut", "test_id", "operator", "station")
"""Keys that have a row even without a value, so that a reader sees that it is missing."""
_NOT_RECORDED: Final = "not recorded"
_LONG: Final = 300
_WIDE: Final = 44
_MOST_ITEMS: Final = 200


class Line(msgspec.Struct, frozen=True):
    """A value of a row, with the name of the nested key that has it; the name may be empty."""

    name: str
    text: str
    href: str = ""
    hint: str = ""


class Row(msgspec.Struct, frozen=True):
    """A labelled row with one or more values."""

    label: str
    lines: list[Line]
    is_missing: bool = False

    @property
    def is_wide(self) -> bool:
        """True if a value needs the whole width of the paper."""
        return any(len(one.name) + len(one.text) > _WIDE for one in self.lines)


def meta_rows(meta: object, fixed: Sequence[str] = ()) -> list[Row]:
    """Return a row for each value of `test_meta`, known keys first.

    Args:
        meta: The `test_meta` of a recipe.
        fixed: Keys that have a row even without a value.
    """
    known = dict(meta) if isinstance(meta, Mapping) else {}
    rows = []
    for key in dict.fromkeys((*LABELS, *known)):
        value = known.get(key)
        if value not in (None, "", {}, []):
            rows.append(Row(LABELS.get(key) or cut(str(key), 80), [*lines("", value)]))
        elif key in fixed:
            rows.append(Row(LABELS[key], [Line("", _NOT_RECORDED)], is_missing=True))
    return rows


def lines(name: str, value: Any) -> Iterator[Line]:
    """Yield the values of a nested value, with their keys joined by dots."""
    if isinstance(value, Mapping) and value:
        for key, one in [*value.items()][:_MOST_ITEMS]:
            yield from lines(f"{name}.{key}" if name else str(key), one)
    elif isinstance(value, list) and any(isinstance(one, Mapping | list) for one in value):
        for index, one in enumerate(value[:_MOST_ITEMS]):
            yield from lines(f"{name}[{index}]", one)
    else:
        text = (
            ", ".join(json_text(one, _LONG) for one in value[:_MOST_ITEMS])
            if isinstance(value, list)
            else json_text(value, _LONG)
        )
        yield Line(cut(name, 120), cut(text, 2 * _LONG))
