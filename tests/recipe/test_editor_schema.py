"""The JSON Schema of recipes accepts and refuses the same files as the loader."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft7Validator
from msgspec import Struct

from pytest_orchestrator.recipe import (
    PythonStep,
    Recipe,
    RecipeError,
    ShellStep,
    editor_schema,
    load,
)
from pytest_orchestrator.recipe.fields.struct_fields import keys_of
from pytest_orchestrator.recipe.model.options import (
    FileRules,
    Measurement,
    Ready,
    Retry,
    Search,
    Success,
)
from pytest_orchestrator.recipe.model.recipe import Defaults

SCHEMA = editor_schema.recipe_schema()
RULES = Draft7Validator(SCHEMA)
SAMPLES = sorted(Path(__file__).parents[2].glob("recipes/*.yaml"))

STRANGE: list[Any] = [
    None,
    True,
    -1,
    0,
    1,
    2.5,
    300,
    10**8,
    "",
    " ",
    "a",
    "a b",
    "30s",
    "true",
    "äß",
    "skip",
    "${{ vars.gain }}",
    "x ${{ 1 }}",
    "$${{ x",
    [],
    [1],
    ["a"],
    ["a", None],
    ["${{ 1 }}"],
    [{}],
    {},
    {"a": 1},
    {"a": "${{ 1 }}"},
    {"a": [1]},
    {"": 1},
    {"a b": {"value": "1"}},
    {"from": "stdout"},
]
"""Values that are each wrong for most keys and right for some."""

KNOWN = re.compile(
    r"unknown (key|criterion|type) |missing '(?!idx)|, should (?!be the name of a signal)"
    r"|belongs to (python|shell) steps|cannot stand here|beside 'use'|of the file that is used"
)
"""Problems that a schema can find."""


def some(model: type[Struct], *always: str, never: frozenset[str] = frozenset()) -> Any:
    """Generate a mapping with some keys of a Struct, each with its example."""
    keys = {
        name: st.just(deepcopy((key.said.examples or [])[0]))
        for name, key in keys_of(model).items()
        if name not in never
    }
    required = {name: keys.pop(name) for name in always}
    return st.fixed_dictionaries(required, optional=keys)


APART = frozenset({"needs", "after", "idx", "background", "ready", "stop_signal", "function"})
NESTED = {
    "success": some(Success, never=frozenset({"exit_code"})),
    "retry": some(Retry, "attempts"),
    "measurements": st.builds(lambda one: {"m": one}, some(Measurement, "value")),
    "outputs": st.builds(lambda one: {"o": one}, some(Search, "from", "regex")),
}
BESIDE = st.fixed_dictionaries({}, optional=NESTED)
PYTHON = some(PythonStep, "name", "module", "class", never=APART)
SHELL = some(ShellStep, "name", "cmd", never=APART)
ROOT = some(Recipe, never=frozenset({"steps", "finally", "needs"}))
DEFAULTS, READY, FILE = some(Defaults), some(Ready, "port"), some(FileRules, "path")


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Any]:
    """Generate a recipe that is valid, except for rules between keys."""
    python = draw(PYTHON) | {"name": "first", "type": "python"} | draw(BESIDE)
    shell = draw(SHELL) | {"name": "second", "type": "shell"}
    if draw(st.booleans()):
        shell |= {"background": True, "ready": draw(READY)}
    else:
        shell |= draw(BESIDE)
    if "files" in shell.get("success", {}):
        shell["success"]["files"] = [draw(FILE)]
    recipe = draw(ROOT)
    if "defaults" in recipe:
        recipe["defaults"] = draw(DEFAULTS)
    late = {"name": "late", "type": "shell", "cmd": "x"}
    return {**recipe, "x-part": 1, "steps": [python, shell], "finally": [late]}


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return every mapping or list in a value, each with one of its keys or indexes."""
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], dict | list):
            yield from places(value[key])


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Any]:
    """Generate a recipe in which one value is replaced."""
    recipe = deepcopy(draw(recipes()))
    within, key = draw(st.sampled_from(list(places(recipe))))
    how = draw(st.sampled_from(["replace", "replace", "replace", "take away", "rename"]))
    if how == "replace":
        within[key] = draw(st.sampled_from(STRANGE))
    elif how == "take away":
        del within[key]
    elif isinstance(within, dict):
        within[draw(st.sampled_from(["strange", "if", "name", "class", "use"]))] = within.pop(key)
    return recipe


def problems_of(recipe: Any, folder: Path) -> list[str]:
    path = folder / "x.yaml"
    path.write_text(json.dumps(recipe))
    try:
        load(path, root=folder)
    except RecipeError as error:
        return [problem.text for problem in error.problems]
    return []


def faults_of(recipe: Any) -> list[str]:
    return [error.message for error in RULES.iter_errors(recipe)]


def compare(recipe: Any, folder: Path) -> None:
    problems, faults = problems_of(recipe, folder), faults_of(recipe)
    known = [problem for problem in problems if KNOWN.search(problem)]
    if not problems:
        assert faults == []
    elif known:
        assert faults != [], known


LAW = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@LAW
@given(recipe=recipes())
def test_a_valid_recipe_is_valid_for_loader_and_schema(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    compare(recipe, tmp_path)


@LAW
@given(recipe=changed())
def test_loader_and_schema_agree_on_a_changed_recipe(
    recipe: dict[str, Any], tmp_path: Path
) -> None:
    compare(recipe, tmp_path)


def test_a_step_that_uses_a_file_may_have_few_other_keys(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("steps: [{name: a, type: shell, cmd: x}]\nvars: {volts: 1}")
    good = {"name": "psu", "use": "part.yaml", "with": {"volts": "${{ 1 }}"}, "needs": []}
    for more in ({}, {"timeout": 3}, {"type": "shell"}, {"cmd": "x"}, {"use": 3}, {"with": 3}):
        recipe = {"steps": [good | more]}
        compare(recipe, tmp_path)
        assert bool(faults_of(recipe)) is bool(more)


def test_the_schema_is_valid() -> None:
    Draft7Validator.check_schema(editor_schema.recipe_schema())


def test_the_shipped_schema_is_up_to_date() -> None:
    assert editor_schema.SHIPPED.read_text() == editor_schema.text(), "run scripts/schema"


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_the_sample_recipes_match_the_schema(path: Path) -> None:
    assert faults_of(yaml.safe_load(path.read_text())) == []


def test_every_key_has_a_description_and_a_valid_example() -> None:
    mappings = [SCHEMA, *SCHEMA["definitions"].values()]
    keys = [
        (name, key)
        for mapping in mappings
        for name, key in mapping["properties"].items()
        if key is not True and not (name == "success" and "examples" not in key)
    ]
    assert len(keys) > 80
    for name, key in keys:
        assert key["description"].endswith("."), name
        assert list(RULES.evolve(schema=key).iter_errors(key["examples"][0])) == [], name


def test_no_part_of_the_schema_has_a_generated_title() -> None:
    assert "title" not in editor_schema.text()


def test_messages_for_patterns_are_those_of_the_loader() -> None:
    key = SCHEMA["definitions"]["Step"]["properties"]["timeout"]
    assert key["patternErrorMessage"] == "should be seconds, or a text such as 500ms, 30s, 2m or 1h"
