"""JUnit properties of a step.

The name of a figure contains its unit, because JUnit has no other place for it.
"""

import json
from collections.abc import Iterator, Mapping

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import is_memory_bound
from pytest_orchestrator.core.text import clipped
from pytest_orchestrator.runs.block import Element, from_block, plain

_STEP = {"name": "step", "type": "type", "state": "outcome", "kind": "kind", "reason": "reason"}
_STEP |= {"blocked_by": "blocked_by"}
_LIMITED = ("value", "unit", "low", "high", "equals", "matches", "margin", "verdict", "marginal")
_MEASURED = (*_LIMITED, "uncertainty", "rule", "decided")
_BYTES = {"rss_delta", "max_rss", "largest_rss", "heap_current", "heap_peak"}
_PEAKS = {"max_rss", "largest_rss"}
_LONGEST = 10_000
"""Maximum characters of a property; `elements` is JSON, so it is never cut."""
_META = ("test_id", "tester", "dut", "station", "operator", "batch")


def _element(element: Element) -> dict[str, Json]:
    """Return an element of ``foreach`` for the property `elements`."""
    fields: dict[str, Json] = {"index": element.index, "item": element.item, "state": element.word}
    if element.kind:
        fields["kind"] = element.kind
    if element.reason:
        fields["reason"] = element.reason
    if element.time:
        fields["seconds"] = element.time.seconds
    measured: Json = {
        str(one["name"]): {key: one[key] for key in _MEASURED if key in one}
        for one in map(plain, element.measurements or ())
    }
    return fields | ({"measurements": measured} if measured else {})


def _metadata(meta: Mapping[str, Json]) -> Iterator[tuple[str, Json]]:
    """Yield the standard fields of `test_meta`; a mapping as one text, then each of its scalars."""
    for name in _META:
        value = meta.get(name)
        if isinstance(value, dict):
            scalars = {key: one for key, one in value.items() if isinstance(one, (str, int, float))}
            if scalars:
                yield name, " ".join(map(str, scalars.values()))
            yield from ((f"{name}.{key}", one) for key, one in scalars.items())
        elif value is not None:
            yield name, value


def properties(data: Mapping[str, Json]) -> list[tuple[str, str | int | float]]:
    """Return the JUnit properties of a step.

    Args:
        data: Block of the step in the JSON report.

    Returns:
        Pairs of a name and a scalar; the name contains the unit, seconds or bytes.
    """
    block = from_block(data)
    if block is None:
        return []
    step, meta = {**plain(block.step), "state": block.step.word}, block.recipe.test_meta
    values: dict[str, Json] = {"recipe": block.recipe.path}
    values |= {name: step[key] for key, name in _STEP.items() if key in step}
    values |= dict(_metadata(meta))
    values |= plain(block.where) if block.where else {}
    values |= {"replay": block.run.replay} if block.run.replay else {}
    figures = plain(block.resources) if block.resources else {}
    is_bound = is_memory_bound(figures.get("source"))
    for name, figure in figures.items():
        at_most = "_at_most" if is_bound and name in _PEAKS else ""
        values[f"{name}{at_most}_bytes" if name in _BYTES else name] = figure
    for measured in map(plain, block.measurements or ()):
        named = {key: measured[key] for key in _MEASURED if key in measured}
        values |= {f"measurement.{measured['name']}.{key}": one for key, one in named.items()}
    pairs: list[tuple[str, str | int | float]] = [
        (name, value if isinstance(value, (int, float)) else clipped(str(value), _LONGEST))
        for name, value in values.items()
        if not isinstance(value, (dict, list)) and value is not None
    ]
    if block.elements:
        elements = json.dumps([_element(one) for one in block.elements], ensure_ascii=False)
        pairs.append(("elements", elements))
    return pairs
