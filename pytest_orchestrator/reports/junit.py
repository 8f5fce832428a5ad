"""JUnit properties of a step.

The name of a figure contains its unit, because JUnit has no other place for it.
"""

from collections.abc import Mapping

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import is_memory_bound

_STEP = {"name": "step", "type": "type", "state": "outcome", "kind": "kind", "reason": "reason"}
_MEASURED = ("value", "unit", "low", "high", "margin", "verdict")
_BYTES = {"rss_delta", "max_rss", "largest_rss", "heap_current", "heap_peak"}
_PEAKS = {"max_rss", "largest_rss"}
_META = ("test_id", "tester", "dut", "station", "operator", "batch")


def properties(block: Mapping[str, Json]) -> list[tuple[str, str | int | float]]:
    """Return the JUnit properties of a step.

    Args:
        block: Block of the step in the JSON report.

    Returns:
        Pairs of a name and a scalar; the name contains the unit, seconds or bytes.
    """
    recipe, step = _mapping(block["recipe"]), _mapping(block["step"])
    values: dict[str, Json] = {"recipe": recipe["path"]}
    values |= {name: step[key] for key, name in _STEP.items() if key in step}
    if "blocked_by" in step:
        values["blocked_by"] = step["blocked_by"]
    meta = _mapping(recipe["test_meta"])
    values |= {name: meta[name] for name in _META if name in meta}
    values |= _mapping(block.get("where"))
    figures = _mapping(block.get("resources"))
    is_bound = is_memory_bound(figures.get("source"))
    for name, figure in figures.items():
        at_most = "_at_most" if is_bound and name in _PEAKS else ""
        values[f"{name}{at_most}_bytes" if name in _BYTES else name] = figure
    values |= _measurements(block.get("measurements"))
    return [
        (name, value if isinstance(value, (int, float)) else str(value))
        for name, value in values.items()
        if not isinstance(value, (dict, list)) and value is not None
    ]


def _measurements(measurements: Json) -> dict[str, Json]:
    """Return the fields of measurements, with keys such as ``measurement.NAME.value``."""
    listed = measurements if isinstance(measurements, list) else []
    return {
        f"measurement.{measurement['name']}.{key}": measurement[key]
        for measurement in map(_mapping, listed)
        for key in _MEASURED
        if key in measurement
    }


def _mapping(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}
