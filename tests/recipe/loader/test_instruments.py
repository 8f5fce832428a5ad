"""Instruments in recipes: those of step types and of sampled values, against the station."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from msgspec import Meta, Struct

from pytest_orchestrator.extending import StepEnvironment, StepSpec, StepType, Unevaluated
from pytest_orchestrator.recipe import BUILT_IN, Extensions, Recipe, RecipeError, load
from pytest_orchestrator.recipe.model.step import InstrumentQuery

Text = Annotated[str, Meta(description="A text.", examples=["x"])]
Others = Annotated[list[Any], Meta(description="Further ones.", examples=[["x"]])]


class Keys(Struct):
    instrument: Text
    others: Others = []


class Bench(StepType):
    """Uses instruments."""

    name = "bench"
    Keys = Keys

    def run(self, keys: Any, ctx: Any, env: StepEnvironment) -> Mapping[str, Any]:
        return {"status": "ok"}

    @classmethod
    def instruments(cls, step: StepSpec) -> Iterable[str | Unevaluated]:
        others = [one["name"] for one in step.keys["others"]]
        return [step.keys["instrument"], *others, *(["trigger"] if others else [])]


_TYPES = BUILT_IN.with_type(Bench, plugin="lab")


def read(folder: Path, text: str, known: Extensions) -> Recipe:
    file = folder / "x.yaml"
    file.write_text(text)
    return load(file, root=folder, known=known)


def problems(folder: Path, text: str, names: Iterable[str] | None) -> list[str]:
    with pytest.raises(RecipeError) as caught:
        read(folder, text, _TYPES.with_instruments(names))
    return [f"{one.place.line}:{one.place.column} {one.text}" for one in caught.value.problems]


_RECIPE = """\
vars: {supply: psu, channel: 1}
sampling:
  current: {instrument: psu, query: "MEAS:CURR? (@${{ vars.channel }})", high: 2}
steps:
  - {name: a, type: bench, instrument: dmm, others: [{name: psu}, {name: load}]}
  - {name: b, type: bench, instrument: "${{ vars.supply }}"}
"""


def test_a_recipe_may_use_the_instruments_of_the_station(tmp_path: Path) -> None:
    recipe = read(tmp_path, _RECIPE, _TYPES.with_instruments(["psu", "dmm", "load", "trigger"]))

    step, sampling = recipe.samplers[0].step, recipe.samplers[0].sampling
    assert isinstance(step, InstrumentQuery)
    assert (step.name, step.type, step.index, step.is_sampler) == ("current", "instrument", 3, True)
    assert (step.instrument, step.query) == ("psu", "MEAS:CURR? (@${{ vars.channel }})")
    assert [one.path for one in step.templates] == [("query",)]
    assert (sampling.templates, sampling.high) == ((), 2)


def test_an_unknown_instrument_is_an_error_at_its_name_with_the_nearest_one(tmp_path: Path) -> None:
    assert problems(tmp_path, _RECIPE, ["psi", "dmm2", "scope", "trigger"]) == [
        (
            "3:25 'sampling.current.instrument' is 'psu', which is no instrument of the station "
            "(did you mean 'psi'?)"
        ),
        (
            "5:40 'instrument' in bench step 'a' is 'dmm', which is no instrument of the station "
            "(did you mean 'dmm2'?)"
        ),
        (
            "5:61 'others[0].name' in bench step 'a' is 'psu', which is no instrument of the "
            "station (did you mean 'psi'?)"
        ),
        (
            "5:74 'others[1].name' in bench step 'a' is 'load', which is no instrument of the "
            "station (it has psi, dmm2, scope, trigger)"
        ),
    ]
    known = _TYPES.with_instruments([])
    with pytest.raises(RecipeError, match=r"no instrument of the station \(it has none\)"):
        read(tmp_path, _RECIPE, known)


def test_a_name_that_no_value_of_the_step_has_is_reported_at_the_step(tmp_path: Path) -> None:
    assert problems(tmp_path, _RECIPE, ["psu", "dmm", "load"]) == [
        (
            "5:5 its instrument in bench step 'a' is 'trigger', which is no instrument of the "
            "station (it has psu, dmm, load)"
        )
    ]


def test_without_a_station_file_each_instrument_is_an_error(tmp_path: Path) -> None:
    text = _RECIPE.replace("[{name: psu}, {name: load}]", "[]")

    assert problems(tmp_path, text, None) == [
        (
            "3:25 'sampling.current.instrument' is 'psu', and the project has no station file "
            "(station.yaml, not .yml, at the rootdir, or --recipe-station FILE)"
        ),
        (
            "5:40 'instrument' in bench step 'a' is 'dmm', and the project has no station file "
            "(station.yaml, not .yml, at the rootdir, or --recipe-station FILE)"
        ),
    ]


def test_the_names_are_not_checked_while_the_station_file_has_errors(tmp_path: Path) -> None:
    known = _TYPES.with_broken_station()

    assert len(read(tmp_path, _RECIPE, known).steps) == 2


_ENTRY = "sampling: {t: {%s}}\nsteps:\n  - {name: a, type: shell, cmd: x}\n"


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        ("instrument: psu", ["1:15 'sampling.t' is missing 'query'"]),
        ("query: 'X?'", ["1:15 'sampling.t' is missing 'instrument'"]),
        (
            "cmd: x, instrument: psu, query: 'X?'",
            [
                "1:24 'sampling.t.instrument' beside 'cmd' (give one of them)",
                "1:41 'sampling.t.query' beside 'cmd' (give one of them)",
            ],
        ),
        (
            "module: m, instrument: psu, query: 'X?'",
            [
                "1:27 'sampling.t.instrument' beside 'module' (give one of them)",
                "1:44 'sampling.t.query' beside 'module' (give one of them)",
            ],
        ),
        (
            "instrument: [psu], query: ''",
            [
                "1:28 'sampling.t.instrument' is a list, should be text",
                "1:42 'sampling.t.query' is '', should not be empty",
            ],
        ),
        (
            "instrument: 1st, query: 'X µ?'",
            [
                (
                    "1:28 'sampling.t.instrument' is '1st', should be letters, digits, _ and -, "
                    "beginning with a letter or _"
                ),
                "1:40 'sampling.t.query' is 'X µ?', should be ASCII, and has 'µ' in it",
            ],
        ),
    ],
)
def test_a_sampled_value_has_one_source(tmp_path: Path, keys: str, found: list[str]) -> None:
    assert problems(tmp_path, _ENTRY % keys, ["psu"]) == found
