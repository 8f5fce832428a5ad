"""Errors of the keys `uncertainty`, `decision`, `instrument` and `ambient`."""

from pathlib import Path

import pytest

from pytest_orchestrator.recipe import BUILT_IN, Recipe, RecipeError, load
from pytest_orchestrator.recipe.model.measurements import Source, Uncertainty

_STATION = BUILT_IN.with_instruments(
    ["dmm"], sources={"dmm": Source(name="dmm", uncertainties={"V": Uncertainty(value=0.1)})}
)
_STEPS = "steps: [{{name: a, type: shell, cmd: x, parse: data, measurements: {{\n m: {{{}}}}}}}]"
_SAMPLING = "sampling: {{\n m: {{{}}}}}\nsteps: [{{name: a, type: shell, cmd: x}}]"
_GIVE = "(write uncertainty: NUMBER, or instrument: NAME and its uncertainty and a unit)"


def read(folder: Path, text: str) -> Recipe:
    file = folder / "x.yaml"
    file.write_text(text)
    return load(file, root=folder, known=_STATION)


def problem(folder: Path, text: str) -> str:
    with pytest.raises(RecipeError) as caught:
        read(folder, text)
    (one,) = caught.value.problems
    return f"{one.place.line}:{one.place.column} {one.text}"


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "value: 1, high: 2, uncertainty: -1",
            "2:38 'measurements.m.uncertainty.value' in shell step 'a' is -1, should be 0 or more",
        ),
        (
            "value: 1, high: 2, uncertainty: 0",
            (
                "2:38 'measurements.m.uncertainty' in shell step 'a' should have a value or a "
                "percent above 0"
            ),
        ),
        (
            "value: 1, high: 2, uncertainty: {}",
            (
                "2:38 'measurements.m.uncertainty' in shell step 'a' should have a value or a "
                "percent above 0"
            ),
        ),
        (
            "value: 1, high: 2, uncertainty: 4 mV",
            (
                "2:38 'measurements.m.uncertainty.value' in shell step 'a' is text, should be a "
                "number (write 4, and unit: mV)"
            ),
        ),
        (
            "value: 1, high: 2, uncertainty: {value: 1, k: 0}",
            "2:52 'measurements.m.uncertainty.k' in shell step 'a' is 0, should be more than 0",
        ),
        (
            "value: 1, high: 2, uncertainty: {vaule: 1}",
            (
                "2:39 unknown key 'vaule' in 'measurements.m.uncertainty' in shell step 'a' "
                "(did you mean 'value'?)"
            ),
        ),
        (
            "value: 1, high: 2, decision: gaurded, uncertainty: 1",
            (
                "2:35 'measurements.m.decision' in shell step 'a' is 'gaurded', should be "
                "'simple', 'guarded' or 'nonbinary' (did you mean 'guarded'?)"
            ),
        ),
        (
            "value: 1, high: 2, decision: guarded",
            "2:35 'measurements.m' in step 'a' has no uncertainty, and its 'decision' is guarded "
            + _GIVE,
        ),
        (
            "value: 1, high: 2, decision: guarded, instrument: dmm",
            "2:35 'measurements.m' in step 'a' has no uncertainty, and its 'decision' is guarded "
            + _GIVE,
        ),
        (
            "value: 1, low: 1, high: 2, decision: guarded, uncertainty: 0.6",
            (
                "2:43 'measurements.m' in step 'a' can never pass: its limits are nearer than "
                "2U, and U is 0.6 (make U smaller)"
            ),
        ),
        (
            "value: 1, high: 2, instrument: dmmm",
            (
                "2:37 'measurements.m.instrument' in step 'a' is 'dmmm', which is no instrument "
                "of the station (did you mean 'dmm'?)"
            ),
        ),
        (
            "value: 1, high: 2, instrument: dmm, unit: A",
            (
                "2:37 'measurements.m.instrument' in step 'a' is 'dmm', whose uncertainty is "
                "not known in 'A' (the station file has it in V)"
            ),
        ),
        (
            "value: 1, ambeint: true",
            (
                "2:16 unknown key 'ambeint' in 'measurements.m' in shell step 'a' (did you mean "
                "'ambient'?)"
            ),
        ),
        (
            "value: 1, ambient: 1",
            "2:25 'measurements.m.ambient' in shell step 'a' is a number, should be true or false",
        ),
    ],
)
def test_errors_of_a_measurement(tmp_path: Path, keys: str, said: str) -> None:
    assert problem(tmp_path, _STEPS.format(keys)) == said


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            "cmd: x, high: 2, decision: guarded",
            f"2:33 'sampling.m' has no uncertainty, and its 'decision' is guarded {_GIVE}",
        ),
        (
            "cmd: x, low: 1, high: 2, decision: nonbinary, uncertainty: 0.6",
            (
                "2:41 'sampling.m' can never pass: its limits are nearer than 2U, and U is 0.6 "
                "(make U smaller)"
            ),
        ),
        (
            "cmd: x, high: 2, uncertainty: '${{ 1 }}'",
            "2:36 'sampling.m.uncertainty' has an expression",
        ),
        (
            "instrument: dmm, query: X, high: 2, unit: A",
            (
                "2:18 'sampling.m.instrument' is 'dmm', whose uncertainty is not known in 'A' "
                "(the station file has it in V)"
            ),
        ),
    ],
)
def test_errors_of_a_sampled_value(tmp_path: Path, keys: str, said: str) -> None:
    assert problem(tmp_path, _SAMPLING.format(keys)) == said


def test_the_rule_of_the_recipe_or_the_ini_file_names_itself(tmp_path: Path) -> None:
    text = _STEPS.format("value: 1, high: 2")

    assert problem(tmp_path, f"decision: guarded\n{text}") == (
        f"3:5 'measurements.m' in step 'a' has no uncertainty, and 'decision' of the recipe is "
        f"guarded {_GIVE}"
    )
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(RecipeError, match=r"and the ini key recipe_decision is nonbinary \("):
        load(tmp_path / "x.yaml", root=tmp_path, known=_STATION.with_defaults(decision="nonbinary"))


@pytest.mark.parametrize("keys", ["value: 1", "value: 1, equals: 2", "value: 1, matches: x"])
def test_only_numeric_limits_are_judged_by_a_rule(tmp_path: Path, keys: str) -> None:
    recipe = read(tmp_path, "decision: guarded\n" + _STEPS.format(keys))

    assert recipe.steps[0].measurements["m"].decision == "simple"


@pytest.mark.parametrize("unit", ["mV", "V"])
def test_the_uncertainty_of_the_instrument_is_enough(tmp_path: Path, unit: str) -> None:
    keys = f"value: 1, high: 2, decision: guarded, instrument: dmm, unit: {unit}"
    one = read(tmp_path, _STEPS.format(keys)).steps[0].measurements["m"]

    assert one.source is not None
    assert (one.decision, one.source.name) == ("guarded", "dmm")
