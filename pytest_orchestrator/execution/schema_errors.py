"""JSON Schema errors of a value as plain data, and how far a figure is beyond its limit."""

import json
import marshal
import os
from collections.abc import Iterable
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.recipe import json_schema

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

    from pytest_orchestrator.core.json_values import Json

_SHOWN = 3
_MOST = 1_000
_WIDEST = 60
_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_OF_KEYS = {"required", "additionalProperties", "unevaluatedProperties", "dependentRequired"}
_LONG = {"$dynamicRef", "$recursiveRef", "$ref", "pattern", "patternProperties", "uniqueItems"}


def may_be_long(schema: object) -> bool:
    """Tell whether a schema has something in it that may take more time than the value is long."""
    if isinstance(schema, dict):
        return not _LONG.isdisjoint(schema) or any(map(may_be_long, schema.values()))
    return isinstance(schema, list) and any(map(may_be_long, schema))


def answer(given: tuple[dict[str, Any], Any], fd: int) -> None:
    """Write what `found` tells to a file."""
    rest = memoryview(marshal.dumps(found(*given)))
    while rest:
        rest = rest[os.write(fd, rest) :]


def found(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """Return what a value has against a schema.

    Returns:
        ``rows``, the errors in words, none where it keeps the schema; ``way``, the keys that
        lead to the rule of the first; ``measured``, what was found there, if it is no list or
        mapping. Or ``fault``, the way and what is wrong with the schema itself.
    """
    # The values of its expressions were not known when it was read, and a check by a schema that
    # is none may hold: it reads `required: text` letter by letter.
    fault = _fault(json.dumps(schema))
    if fault is not None:
        return {"fault": (list(fault[0]), fault[1])}
    all_of_it = json_schema.validator(schema).iter_errors(value)
    errors = [json_schema.cause(error) for error in islice(all_of_it, _MOST)]
    if not errors:
        return {"rows": []}
    rest = len(errors) - _SHOWN
    count = f"{rest:,}" if len(errors) < _MOST else f"at least {rest:,}"
    rows = [_told(error) for error in errors[:_SHOWN]] + ([f"and {count} more"] if rest > 0 else [])
    first = errors[0].instance
    return {
        "rows": rows,
        "way": [str(part) for part in errors[0].absolute_schema_path],
        "measured": None if isinstance(first, dict | list) else first,
    }


@lru_cache(maxsize=64)
def _fault(schema: str) -> tuple[json_schema.Way, str] | None:
    """Return the first thing that is wrong with a schema, given as JSON; None where it is one."""
    return next(json_schema.faults(json.loads(schema)), None)


def _told(error: "ValidationError") -> str:
    where = _way(error.absolute_path)
    rule = str(error.validator)
    found: Any = error.instance
    wanted: Any = error.validator_value
    if isinstance(error.schema, bool) or rule in _OF_KEYS:
        return f"{where}: {one_line(error.message)}"
    if rule in _LIMITS and found != wanted:
        _, rest = measured(found, wanted, "")
        return f"{where} is {_json(found)}, {rule} {rest.removeprefix('limit ')}"
    return f"{where} is {_json(found)}, wanted {rule} {_json(wanted)}"


def _way(parts: Iterable[str | int]) -> str:
    return "result" + "".join(
        f"[{part!r}]" if isinstance(part, int) or not part.isidentifier() else f".{part}"
        for part in parts
    )


def _json(value: "Json") -> str:
    shown = one_line(json.dumps(value, ensure_ascii=False))
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"


def measured(value: float, limit: float, unit: str, *, digits: int = 2) -> tuple[str, str]:
    """Tell a figure that is beyond a limit, and how far.

    Args:
        value: The figure.
        limit: What it should not be above, or not below.
        unit: What both are in; may be empty.
        digits: How many decimals are shown, unless the distance needs more.

    Returns:
        The figure, such as ``4.02 s``; the rest of the sentence, such as
        ``limit 3 s (over by 1.02 s, 34 %)``.
    """
    distance = abs(value - limit)
    while digits < 9 and distance and not float(f"{distance:.{digits}f}"):
        digits += 1
    if isinstance(value, int) and isinstance(limit, int):
        digits = 0
    side = "over" if value > limit else "under"
    share = f", {_percent(100 * distance / abs(limit))}" if limit else ""
    beyond = _in(unit, f"{distance:,.{digits}f}")
    rest = f"limit {_in(unit, f'{limit:,.15g}')} ({side} by {beyond}{share})"
    return _in(unit, f"{value:,.{digits}f}"), rest


def _in(unit: str, figure: str) -> str:
    if figure == "1" and len(unit) > 1:
        unit = unit.removesuffix("s")
    return f"{figure} {unit}" if unit else figure


def _percent(share: float) -> str:
    if share >= 1:
        return f"{share:,.0f} %"
    return f"{share:.2f} %" if share >= 0.01 else "less than 0.01 %"
