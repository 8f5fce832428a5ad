"""JSON Schema of station files: it accepts and refuses the files that the reader does."""

import json
import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator

from pytest_orchestrator.recipe import RecipeError, station_schema
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station
from pytest_orchestrator.recipe.station.reader import load_station

_RULES = Draft7Validator(station_schema.station_schema())
_PSU: dict[str, Any] = {
    name: (key.meta.examples or [])[0] for name, key in keys_of(InstrumentSettings).items()
}
_FULL: dict[str, Any] = {
    name: (key.meta.examples or [])[0] for name, key in keys_of(Station).items()
} | {"instruments": {"psu": _PSU, "dmm": {"resource": "A"}}, "x-any": [1]}
_STRANGE: list[Any] = [
    *(None, True, -1, 0, 2.5, 300, 10**8, "", " ", "a", "-a", "a b", "30s", "5 x", "µ", "a\nb"),
    *("@py", "@pyy", " @py", "2026-05-01", "2026-5-1", "\\n", "\r", "${{ 1 }}", "$${{ x", "root@a"),
    *([], [1], ["a"], ["a", None], ["µ"], {}, {"a": 1}, {"a b": "c"}, {"": 1}, {"-a": 2}),
]
_UNKNOWABLE = re.compile(
    "no regular expression|no day of the calendar|before the calibration|an expression cannot stand"
)


def test_the_schema_is_valid() -> None:
    Draft7Validator.check_schema(station_schema.station_schema())


def test_the_examples_of_all_keys_are_valid(tmp_path: Path) -> None:
    assert list(_RULES.iter_errors(_FULL)) == []
    assert problems(tmp_path, _FULL) == []


def problems(folder: Path, station: Any) -> list[str]:
    file = folder / "station.yaml"
    file.write_text(json.dumps(station), encoding="utf-8")
    try:
        load_station(file, folder)
    except RecipeError as error:
        return [one.text for one in error.problems]
    return []


def places(value: Any) -> list[tuple[Any, Any]]:
    """Return each container in a value with each of its keys."""
    if not isinstance(value, dict | list):
        return []
    keys = list(value) if isinstance(value, dict) else range(len(value))
    return [(value, key) for key in keys] + [one for key in keys for one in places(value[key])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("station")


@given(data=st.data())
def test_schema_and_reader_agree(folder: Path, data: st.DataObject) -> None:
    station = deepcopy(_FULL)
    within, key = data.draw(st.sampled_from(places(station)))
    how = data.draw(st.sampled_from(["replace", "replace", "replace", "remove", "rename"]))
    if how == "replace":
        within[key] = data.draw(st.sampled_from(_STRANGE))
    elif how == "remove":
        del within[key]
    elif isinstance(within, dict):
        within[f"{key}2"] = within.pop(key)

    found = problems(folder, station)
    refused = [error.message for error in _RULES.iter_errors(station)]
    if not any(map(_UNKNOWABLE.search, found)):
        assert bool(found) == bool(refused), (station, found, refused)
