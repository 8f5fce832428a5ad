"""The criterion on the result of a step: it keeps a JSON Schema."""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.execution import distance
from pytest_orchestrator.execution.evidence import Evidence, verdict
from pytest_orchestrator.execution.printable import one_line
from pytest_orchestrator.recipe import schemas
from pytest_orchestrator.recipe.model import Criterion

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_SHOWN = 3
_MOST = 1_000
_WIDEST = 60
_LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_OF_KEYS = {"required", "additionalProperties", "unevaluatedProperties", "dependentRequired"}


def result_schema(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """What the step returned, or said, keeps the schema."""
    schema = criterion.wanted if isinstance(criterion.wanted, dict) else {}
    try:
        found = schemas.validator(schema).iter_errors(evidence.ended.value)
        errors = [schemas.cause(error) for error in islice(found, _MOST)]
    except Exception:
        fault = next(schemas.faults(schema), None)
        if fault is None:
            raise
        # The values of its expressions were not known when it was read.
        way = "".join(f" in {'.'.join(map(str, way))}" for way in [fault[0]] if way)
        yield verdict(criterion, f"no JSON Schema{way}: {fault[1]}")
        return
    if not errors:
        yield verdict(criterion)
        return
    rest = len(errors) - _SHOWN
    count = f"{rest:,}" if len(errors) < _MOST else f"at least {rest:,}"
    rows = [_told(error) for error in errors[:_SHOWN]] + ([f"and {count} more"] if rest > 0 else [])
    first = errors[0].instance
    yield verdict(
        criterion,
        "; ".join(rows),
        place=_place(criterion, errors[0]),
        measured=None if isinstance(first, dict | list) else first,
    )


def _told(error: "ValidationError") -> str:
    where = _way(error.absolute_path)
    rule = str(error.validator)
    found: Any = error.instance
    wanted: Any = error.validator_value
    if isinstance(error.schema, bool) or rule in _OF_KEYS:
        return f"{where}: {one_line(error.message)}"
    if rule in _LIMITS and found != wanted:
        _, rest = distance.measured(found, wanted, "")
        return f"{where} is {_json(found)}, {rule} {rest.removeprefix('limit ')}"
    return f"{where} is {_json(found)}, wanted {rule} {_json(wanted)}"


def _place(criterion: Criterion, error: "ValidationError") -> Place:
    """Return where the rule stands, or the reference that leads to it."""
    way = [str(part) for part in error.absolute_schema_path]
    at = criterion.at
    if "/".join(way) in at:
        return at["/".join(way)]
    while way:  # what a reference leads to is told without it
        way.pop()
        for key in ("/".join([*way, "$ref"]), "/".join(way)):
            if key in at:
                return at[key]
    return criterion.place


def _way(parts: Iterable[str | int]) -> str:
    return "result" + "".join(
        f"[{part!r}]" if isinstance(part, int) or not part.isidentifier() else f".{part}"
        for part in parts
    )


def _json(value: Json) -> str:
    shown = one_line(json.dumps(value, ensure_ascii=False))
    return shown if len(shown) <= _WIDEST else f"{shown[: _WIDEST - 1]}…"
