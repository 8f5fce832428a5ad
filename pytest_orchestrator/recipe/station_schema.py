"""JSON Schema of the station file, generated from the model, for editors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import fields

from pytest_orchestrator.recipe.editor_schema import Schema, described, schema_of
from pytest_orchestrator.recipe.fields.struct_fields import keys_of
from pytest_orchestrator.recipe.model.key_types import InstrumentName
from pytest_orchestrator.recipe.station.model import Confirmation, InstrumentSettings, Station

SHIPPED = Path(__file__).parents[1] / "schema" / "station.json"
"""The schema file in the wheel."""

_INSTRUMENT: Final = "Instrument"
_DAY: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "patternErrorMessage": "should be a day such as 2026-05-01",
}
_OWN: Final[Mapping[str, Schema]] = {
    "calibrated": _DAY,
    "due": _DAY,
    "confirm": {
        "anyOf": [
            {"const": "none"},
            {
                "type": "object",
                "properties": {
                    "query": {"type": "string", "pattern": r"^[ -~]*\?[ -~]*$"},
                    "matches": {"type": "string", "pattern": r"\S"},
                },
                "required": list(Confirmation._fields),
                "additionalProperties": False,
            },
        ]
    },
    "instruments": {
        "type": "object",
        "propertyNames": schema_of(InstrumentName, expressions=False),
        "additionalProperties": {"$ref": f"#/definitions/{_INSTRUMENT}"},
    },
}
"""Schemas of the keys whose values the types of the model do not describe."""


def text() -> str:
    """Return the JSON Schema of station files as indented JSON text."""
    return json.dumps(station_schema(), indent=2, ensure_ascii=False) + "\n"


def station_schema() -> Schema:
    """Return the JSON Schema of station files, of draft 7 as that of recipes."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "description": "A station file: the instruments of a test station.",
        **_mapping(Station),
        "patternProperties": {"^x-": True},
        "definitions": {_INSTRUMENT: _mapping(InstrumentSettings)},
    }


def _mapping(model: type[Struct]) -> Schema:
    """Return the schema of a mapping that allows only the keys of a Struct."""
    hints = {field.encode_name: field.type for field in fields(model)}
    keys = keys_of(model)
    required = [name for name, key in keys.items() if key.is_required]
    return {
        "type": "object",
        "properties": {
            name: {
                **described(str(key.meta.description)),
                "examples": key.meta.examples,
                **(_OWN.get(name) or schema_of(hints[name], expressions=False)),
            }
            for name, key in keys.items()
        },
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }
