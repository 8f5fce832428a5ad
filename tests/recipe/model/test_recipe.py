"""Descriptions and examples of keys, from which the reference and the schema are generated."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.recipe import Criterion, PythonStep, Recipe, ShellStep, Step
from pytest_orchestrator.recipe.fields import readers
from pytest_orchestrator.recipe.model.options import Ready, Retry, Success
from pytest_orchestrator.recipe.model.recipe import Defaults
from pytest_orchestrator.recipe.model.root_mappings import Requires

Read = Callable[[str | bytes], Recipe]

FROM_THE_LOADER = {
    "id",
    "path",
    "text",
    "sha256",
    "at",
    "index",
    "is_final",
    "templates",
    "cell",
    "has_cells",
    "is_sampler",
    "named_cells",
    "file_use",
    "origins",
    "plugin_data",
}
MODELS: list[type[msgspec.Struct]] = [
    Recipe,
    Defaults,
    PythonStep,
    ShellStep,
    Ready,
    Retry,
    Success,
]
KEYS = [(model, name) for model in MODELS for name in readers.keys_of(model)]


@pytest.mark.parametrize("model", MODELS)
def test_a_field_is_a_described_key_or_comes_from_the_loader(model: type[msgspec.Struct]) -> None:
    names = {field.encode_name for field in msgspec.structs.fields(model)}
    assert names - readers.keys_of(model).keys() <= FROM_THE_LOADER


@pytest.mark.parametrize(("model", "name"), KEYS)
def test_the_example_of_a_key_is_valid(model: type[msgspec.Struct], name: str, read: Read) -> None:
    said = readers.keys_of(model)[name].meta
    assert said.description is not None
    assert said.description.endswith(".")
    assert said.examples is not None
    step: dict[str, Any] = {"name": "a", "type": "shell", "cmd": "x"}
    recipe: dict[str, Any] = {"steps": [step]}
    if model is PythonStep:
        step = {"name": "a", "type": "python", "module": "m", "class": "C"}
    if model is PythonStep and name == "function":
        del step["class"]
    if model is Success:
        step["success"] = {name: said.examples[0]}
    elif model is Ready:
        step |= {"background": True, "ready": {"port": 80, name: said.examples[0]}}
    elif model is Retry:
        step["retry"] = {"attempts": 2, name: said.examples[0]}
    elif model is Defaults:
        recipe["defaults"] = {name: said.examples[0]}
    elif model is Recipe:
        recipe[name] = said.examples[0]
    else:
        before = {"name": "flash", "type": "shell", "cmd": "x"}
        recipe["steps"] = [before, step] if name in ("needs", "after") else [step]
        step[name] = said.examples[0]
        step |= {"foreach": [1]} if name == "fail_fast" else {}
        recipe |= {"units": {"count": 2}} if name in ("scope", "turn") else {}
        step["background"] = name in ("background", "ready", "stop_signal")
    assert read(json.dumps(recipe)).steps


def test_a_recipe_is_frozen_and_finds_its_steps(read: Read) -> None:
    recipe = read(
        "steps: [{name: a, type: shell, cmd: x}]\nfinally: [{name: b, type: shell, cmd: x}]\n"
    )
    assert recipe.step("a") is recipe.steps[0]
    assert recipe.step("b") is recipe.final[0]
    with pytest.raises(KeyError):
        recipe.step("c")
    with pytest.raises(AttributeError):
        recipe.name = "x"  # type: ignore[misc]
    with pytest.raises(AttributeError):
        recipe.steps[0].name = "x"  # type: ignore[misc]


@pytest.mark.parametrize("model", [*MODELS, Step, Criterion])
def test_all_values_of_a_recipe_are_frozen(model: type[msgspec.Struct]) -> None:
    assert model.__struct_config__.frozen


def test_requirements_of_two_files_are_joined() -> None:
    one = Requires(extras=("http",), programs=("a", "b"))
    other = Requires(extras=("http", "dask"), programs=("b",), terminal=True)
    assert one.joined(other) == Requires(
        extras=("http", "dask"), programs=("a", "b"), terminal=True
    )
