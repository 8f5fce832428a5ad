"""The JSON Schema of recipes accepts and refuses the same files as the loader."""

import itertools
import json
import re
import signal as signals
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
    BUILT_IN,
    PythonStep,
    Recipe,
    RecipeError,
    ShellStep,
    SshStep,
    Step,
    editor_schema,
    load,
)
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.model.measurements import Measurement
from pytest_orchestrator.recipe.model.options import (
    FileRules,
    Ready,
    Retry,
    Search,
    Success,
)
from pytest_orchestrator.recipe.model.recipe import Defaults
from tests.tiers import kept_first

SCHEMA = editor_schema.recipe_schema()
RULES = Draft7Validator(SCHEMA)
SAMPLES = sorted(
    path
    for path in Path(__file__).parents[2].glob("recipes/*.yaml")
    if not path.name.endswith(".answers.yaml")
)

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

UNKNOWABLE = re.compile(
    r"no expression|unknown name '|no (var|step|name) '|no step of this recipe|there is no file"
    r"|is no JSON Schema: |, which service '|is above '|can never hold|no value meets both"
    r"|reads as an expression|is less than 'min'|no regular expression|is in 'inputs' and in"
    r"|default' should (match|be (at |[\w.-]+ (to|or) |[\w.-]+$))"
    r"|has no uncertainty, and |can never pass"
    r"|'env' needs a process of its own|has no station file|no instrument of the station"
    r"|'units|'scope: together'|of units, and this step|units end one by one|one question is asked"
)
"""Problems that no schema can find.

They are in names, in other files and steps, in other grammars and in the order of two numbers.
"""


def some(model: type[Struct], *always: str, never: frozenset[str] = frozenset()) -> Any:
    """Generate a mapping with some keys of a Struct, each with its example."""
    keys = {
        name: st.just(deepcopy((key.meta.examples or [])[0]))
        for name, key in keys_of(model).items()
        if name not in never
    }
    required = {name: keys.pop(name) for name in always}
    return st.fixed_dictionaries(required, optional=keys)


LIMITS = frozenset(
    {"low", "high", "within", "nominal", "tolerance", "marginal", "equals", "matches"}
)
"""Keys of a measurement that depend on each other."""
APART = frozenset({"needs", "after", "idx", "function"})
NESTED = {
    "success": some(Success, never=frozenset({"exit_code"})),
    "retry": some(Retry, "attempts"),
    "measurements": st.builds(
        lambda one, limits: {"m": one | limits},
        some(Measurement, "value", never=LIMITS),
        st.sampled_from(
            [
                {},
                {"low": 0, "high": 50, "within": {"of": 12.0, "percent": 5}},
                {"low": 0, "high": 50, "marginal": {"low": 2, "high": 45}},
                {"nominal": 12.0, "tolerance": "1%", "marginal": {"percent": 10}},
                {"equals": "ready", "matches": "^r"},
            ]
        ),
    ),
    "outputs": st.builds(
        lambda one, typed: {"o": one | typed},
        some(Search, "from", "regex", never=frozenset({"type", "default"})),
        st.sampled_from(
            [
                {},
                {"default": "none"},
                {"type": "number", "default": 2.5},
                {"type": "integer", "default": None},
                {"type": "boolean", "default": "${{ 1 }}"},
                {"type": "json", "default": [1]},
            ]
        ),
    ),
}
BESIDE = st.fixed_dictionaries({}, optional=NESTED)
PYTHON = some(PythonStep, "name", "module", "class", never=APART)
SHELL = some(ShellStep, "name", "cmd", never=APART)
ROOT = some(Recipe, never=frozenset({"steps", "finally", "needs", "inputs"}))
INPUT = st.sampled_from(
    [
        {},
        {"pattern": "^SN", "default": "SN1", "description": "As printed.", "required": True},
        {"type": "string", "choices": ["a", "b"], "default": "b", "secret": True},
        {"type": "integer", "choices": [1, 2], "min": 0, "max": 3, "default": 1},
        {"type": "number", "min": 0, "max": 30, "unit": "V", "default": "${{ env.V | int }}"},
        {"type": "boolean", "default": True},
        {"type": "boolean", "required": False, "default": None},
        {"type": "json", "default": None},
        {"type": "json", "default": [{"a": "${{ env.A }}"}]},
    ]
)
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
    if draw(st.booleans()):
        recipe["inputs"] = {"field": deepcopy(draw(INPUT)), "other": deepcopy(draw(INPUT))}
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
    knowable = [problem for problem in problems if not UNKNOWABLE.search(problem)]
    if not problems:
        assert faults == []
    elif knowable:
        assert faults != [], knowable


LAW = settings(
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


_STEPS: dict[type[Step], dict[str, Any]] = {
    PythonStep: {"name": "s", "type": "python", "module": "m", "function": "f"},
    ShellStep: {"name": "s", "type": "shell", "cmd": "x"},
    SshStep: {"name": "s", "type": "ssh", "cmd": "x", "host": "h"},
}
_ROOTS: tuple[dict[str, Any], ...] = (
    {},
    {"fixtures": ["bench"]},
    {"defaults": {"isolation": "inline"}},
)
_BOOLEAN = {"background": (True, False), "heap": (True, False)}
_WORDS = {
    "isolation": ("inline", "process"),
    "parse": ("text", "json"),
    "fixtures": (["bench"], []),
    "ready": ({"port": 80}, {"timeout": 3}, {}),
    "stop_signal": ("term", "SIGHUP", "NOPE"),
    "cmd": ("x", ["x"], "x ${{ 1 }}"),
    "shell": ("bash", "python", ["zsh"]),
    "needs": ([],),
    "after": ([],),
}


def _values(model: type[Struct], name: str) -> tuple[Any, ...]:
    examples = keys_of(model)[name].meta.examples or [{}]
    return {**_BOOLEAN, **_WORDS}.get(name, tuple(examples[:1]))


def _pairs(model: type[Step]) -> Iterator[dict[str, Any]]:
    """Yield each pair of keys that a type of step may have, and each key with a criterion."""
    criteria = [{"success": {name: _values(Success, name)[0]}} for name in keys_of(Success)]
    keys = [
        {name: value}
        for name in keys_of(model)
        if name not in ("name", "type", "success", "class")
        for value in _values(model, name)
    ]
    for one, other in itertools.combinations(keys, 2):
        yield one | other
    for one, other in itertools.product(keys, criteria):
        yield one | other


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "model", kept_first(_STEPS, ShellStep, PythonStep), ids=lambda model: model.type
)
def test_loader_and_schema_agree_on_any_two_keys_of_a_step(
    model: type[Step], tmp_path: Path
) -> None:
    for keys in _pairs(model):
        compare({"steps": [_STEPS[model] | keys]}, tmp_path)


@pytest.mark.unmeasured
@pytest.mark.parametrize("root", _ROOTS, ids=json.dumps)
@pytest.mark.parametrize(
    "model", kept_first(_STEPS, ShellStep, PythonStep), ids=lambda model: model.type
)
def test_loader_and_schema_agree_on_rules_of_the_root_for_all_steps(
    model: type[Step], root: dict[str, Any], tmp_path: Path
) -> None:
    wanted = {"isolation", "background", "success", "fixtures"}
    for keys in _pairs(model):
        if keys.keys() <= wanted:
            step = _STEPS[model] | keys
            compare(root | {"steps": [step]}, tmp_path)
            compare(
                root | {"steps": [_STEPS[ShellStep]], "finally": [step | {"name": "t"}]}, tmp_path
            )


def test_the_schema_accepts_names_of_signals_in_any_case() -> None:
    signal = RULES.evolve(schema=SCHEMA["definitions"]["Step"]["properties"]["stop_signal"])
    names = [one.name for one in signals.Signals]
    for name in ("TERM", "SIGTERM", "term", "sigInt", *names, *(one.lower() for one in names)):
        assert signal.is_valid(name), name
    for name in ("NOPE", "SIG", "SIGSIGTERM", "TERM ", ""):
        assert not signal.is_valid(name), name


def test_a_step_that_uses_a_file_may_have_few_other_keys(tmp_path: Path) -> None:
    (tmp_path / "part.yaml").write_text("steps: [{name: a, type: shell, cmd: x}]\nvars: {volts: 1}")
    good = {"name": "psu", "use": "part.yaml", "with": {"volts": "${{ 1 }}"}, "needs": []}
    for more in ({}, {"timeout": 3}, {"type": "shell"}, {"cmd": "x"}, {"use": 3}, {"with": 3}):
        recipe = {"steps": [good | more]}
        compare(recipe, tmp_path)
        assert bool(faults_of(recipe)) is bool(more)


def test_the_schema_is_valid() -> None:
    Draft7Validator.check_schema(editor_schema.recipe_schema())


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


@pytest.mark.parametrize(
    "keys",
    [{"type": "prompt", "message": "ready?"}, {"type": "http", "url": "http://127.0.0.1/"}],
    ids=lambda keys: keys["type"],
)
def test_loader_and_schema_refuse_services_of_types_that_end_by_themselves(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    for value in (True, False):
        recipe = {"steps": [{"name": "a", **keys, "background": value}]}
        compare(recipe, tmp_path)
        assert bool(faults_of(recipe)) is value


@pytest.mark.parametrize(
    "keys",
    [
        {"type": "serial", "port": "/dev/x", "dialog": []},
        {"type": "serial", "port": "", "dialog": [{"send": "a"}]},
        {"type": "scpi", "instrument": "psu", "commands": []},
        {"type": "scpi", "instrument": "", "commands": ["a"]},
        {"type": "prompt", "message": ""},
    ],
    ids=str,
)
def test_loader_and_schema_refuse_empty_values_of_the_types_of_the_package(
    keys: dict[str, Any], tmp_path: Path
) -> None:
    rules = Draft7Validator(json.loads(editor_schema.SHIPPED.read_text()))
    filled = {"port": "p", "dialog": [{"send": "a"}], "instrument": "psu", "commands": ["a"]}
    step = {"name": "a", **keys}
    good = {name: value or filled.get(name, "a") for name, value in step.items()}
    known = BUILT_IN.with_instruments(["psu"])

    assert rules.is_valid({"steps": [good]})
    assert not rules.is_valid({"steps": [step]})
    path = tmp_path / "x.yaml"
    path.write_text(json.dumps({"steps": [good]}))
    assert load(path, root=tmp_path, known=known).steps
    path.write_text(json.dumps({"steps": [step]}))
    with pytest.raises(RecipeError):
        load(path, root=tmp_path, known=known)
