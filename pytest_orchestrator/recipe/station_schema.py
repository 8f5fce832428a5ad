"""JSON Schema of the station file, generated from the model, for editors."""

import json
from pathlib import Path
from typing import Final

from pytest_orchestrator.recipe.editor_schema import OwnSchemas, Schema, mapping, schema_of
from pytest_orchestrator.recipe.model.key_types import InstrumentName
from pytest_orchestrator.recipe.station.model import (
    Confirmation,
    InstrumentSettings,
    Laboratory,
    Station,
)

SHIPPED = Path(__file__).parents[1] / "schema" / "station.json"
"""The schema file in the wheel."""

_INSTRUMENT: Final = "Instrument"
_DAY: Final[Schema] = {
    "type": "string",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
    "patternErrorMessage": "should be a day such as 2026-05-01",
}
_OWN: Final[OwnSchemas] = {
    "calibrated": lambda: _DAY,
    "due": lambda: _DAY,
    "uncertainty": lambda: {
        "type": "object",
        "additionalProperties": {
            "type": ["number", "object"],
            "exclusiveMinimum": 0,
            "properties": {
                key: {"type": "number", "minimum": 0} for key in ("value", "percent", "k")
            },
            "additionalProperties": False,
        },
    },
    "laboratory": lambda: mapping(Laboratory),
    "confirm": lambda: {
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
    "instruments": lambda: {
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
        **mapping(Station, _OWN),
        "patternProperties": {"^x-": True},
        "definitions": {_INSTRUMENT: mapping(InstrumentSettings, _OWN)},
    }
