"""JUnit properties of a step.

A figure has its unit in its name, since nothing else in such a file tells it.
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
    """Return the properties of a step, from the block of the JSON report.

    Returns:
        Pairs of a name and a scalar; seconds and bytes, as the names say.
    """
    recipe, step = _mapping(block["recipe"]), _mapping(block["step"])
    found: dict[str, Json] = {"recipe": recipe["path"]}
    found |= {name: step[key] for key, name in _STEP.items() if key in step}
    if "blocked_by" in step:
        found["blocked_by"] = step["blocked_by"]
    meta = _mapping(recipe["test_meta"])
    found |= {name: meta[name] for name in _META if name in meta}
    found |= _mapping(block.get("where"))
    figures = _mapping(block.get("resources"))
    is_bound = is_memory_bound(figures.get("source"))
    for name, one in figures.items():
        at_most = "_at_most" if is_bound and name in _PEAKS else ""
        found[f"{name}{at_most}_bytes" if name in _BYTES else name] = one
    found |= _measurements(block.get("measurements"))
    return [
        (name, value if isinstance(value, (int, float)) else str(value))
        for name, value in found.items()
        if not isinstance(value, (dict, list)) and value is not None
    ]


def _measurements(told: Json) -> dict[str, Json]:
    """Return what was measured, below names that say of what."""
    each = [_mapping(one) for one in told] if isinstance(told, list) else []
    return {
        f"measurement.{one['name']}.{key}": one[key]
        for one in each
        for key in _MEASURED
        if key in one
    }


def _mapping(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}
