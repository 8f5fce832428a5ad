"""Texts of `test_meta`: labelled rows, one line for a page's head, the unit under test."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.reports.text import cut, json_text

if TYPE_CHECKING:
    from pytest_orchestrator.runs.history.model import PastRecipe
    from pytest_orchestrator.runs.record import RecipeRecord

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
_NOUNS: Final = {
    "dut": "units",
    "test_id": "test IDs",
    "batch": "batches",
    "operator": "operators",
    "tester": "testers",
    "station": "stations",
}
"""Keys in the head of a page, and the noun for many values of them."""
_MOST_SHOWN: Final = 3
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


def meta_text(recipe: "RecipeRecord | PastRecipe", key: str) -> str:
    """Return a value of `test_meta` in one line; nested values have their names, but not the DUT.

    Args:
        recipe: The recipe.
        key: The key of `test_meta`.
    """
    value = recipe.test_meta.get(key)
    if value in (None, "", {}, []):
        return ""
    if key == "dut":
        from pytest_orchestrator.runs.history.model import joined

        return cut(joined(value), 200)
    texts = [f"{one.name} {one.text}" if one.name else one.text for one in lines("", value)]
    return cut(", ".join(texts), 200)


def labelled_meta(recipes: "Iterable[RecipeRecord | PastRecipe]") -> dict[str, str]:
    """Return values of `test_meta` by label, or their number if the recipes have more than three.

    Args:
        recipes: The recipes of a run.
    """
    labelled: dict[str, dict[str, None]] = {}
    for recipe in recipes:
        for name in _NOUNS if recipe.test_meta else ():
            if value := meta_text(recipe, name):
                labelled.setdefault(name, {})[value] = None
    return {
        LABELS[name]: _some(labelled[name], noun)
        for name, noun in _NOUNS.items()
        if name in labelled
    }


def _some(texts: Mapping[str, None], noun: str) -> str:
    return "; ".join(texts) if len(texts) <= _MOST_SHOWN else f"{len(texts):,} {noun}"


def unit_text(recipes: "Iterable[RecipeRecord | PastRecipe]") -> tuple[str, str]:
    """Return the serial number of the unit under test, and the rest of its description.

    Args:
        recipes: The recipes of a run. Of several units, the result has the serial numbers, or
            their number, and no rest.
    """
    units: dict[str, str] = {}
    for recipe in recipes:
        if recipe.test_meta.get("dut") not in (None, "", {}, []):
            from pytest_orchestrator.runs.statistics.units import unit_of

            whole, serial = meta_text(recipe, "dut"), unit_of(recipe.test_meta).serial
            rest = f" {whole} ".replace(f" {serial} ", " ", 1).strip() if serial else ""
            units[cut(serial, 200) or whole] = rest
    rest = next(iter(units.values())) if len(units) == 1 else ""
    return _some(dict.fromkeys(units), _NOUNS["dut"]), rest
