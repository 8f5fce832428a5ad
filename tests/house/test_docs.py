"""The reference pages describe every error, option, verb, key, hook and figure."""

import importlib
import inspect
import pkgutil
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest_orchestrator
from pytest_orchestrator import extending, reading, rendering
from pytest_orchestrator.cli.main import known_verbs
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.plugin import hooks, hookspecs
from pytest_orchestrator.plugin.options.declared import REMOVED_KEYS
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.loader.include import UseStep
from pytest_orchestrator.recipe.model.measurements import Measurement, Within
from pytest_orchestrator.recipe.model.options import (
    FileRules,
    Ready,
    Retry,
    Search,
    Success,
)
from pytest_orchestrator.recipe.model.recipe import Defaults, Recipe
from pytest_orchestrator.recipe.model.step import STEP_TYPES
from pytest_orchestrator.runs.block import Resources

MORE = (Defaults, UseStep, Measurement, Within, Search)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def headings(page: str) -> set[str]:
    text = (REFERENCE / page).read_text()
    return {heading.strip("`") for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)}


def kinds(error: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds(kind)


def test_every_kind_of_error_has_a_heading() -> None:
    for module in pkgutil.walk_packages(pytest_orchestrator.__path__, "pytest_orchestrator."):
        if not module.name.startswith("pytest_orchestrator.monitor."):  # the monitor needs Dash
            importlib.import_module(module.name)
    importlib.import_module("pytest_orchestrator.monitor.server")
    slugs = {kind.slug for kind in kinds(OrchestratorError)}

    assert slugs - headings("errors.md") == set()


def test_every_option_and_ini_key_has_a_heading() -> None:
    parser = Mock()
    hooks.pytest_addoption(parser)
    declared = {
        arguments[0]
        for name, arguments, _ in parser.mock_calls
        if name.endswith(("addoption", "addini"))
    }

    assert "recipe_files" in declared
    assert declared - REMOVED_KEYS.keys() - headings("options.md") == set()


def test_every_verb_has_a_heading_and_lists_its_options() -> None:
    page = (REFERENCE / "command-line.md").read_text()
    for name, verb in known_verbs().items():
        parser = Mock()
        verb.declare(parser)
        section = page.partition(f"## `{name}`")[2].partition("\n## ")[0]
        options = {call.args[0] for call in parser.add_argument.mock_calls if call.args}
        assert {
            word for word in options if word.startswith("-") and f"`{word}" not in section
        } == set()
        assert section


def test_every_key_of_a_recipe_is_in_a_table() -> None:
    models = (Recipe, Ready, Retry, Success, FileRules, *MORE, *STEP_TYPES.values())
    keys = {"type", *(key for model in models for key in keys_of(model))}
    pages = "".join(page.read_text() for page in REFERENCE.glob("*.md"))
    cells = re.findall(r"^\| (`.+?) \|", pages, re.MULTILINE)
    rows = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}

    assert keys - rows == set()


def test_the_tables_of_keys_are_up_to_date() -> None:
    updated = runpy.run_path(str(REFERENCE.parent / "keys.py"))["updated"]
    pages = {page.name: page.read_text() for page in REFERENCE.glob("*.md")}

    assert sum("<!-- keys: " in text for text in pages.values()) > 5
    for name, text in pages.items():
        assert updated(text) == text, f"{name}: run docs/keys.py"


def test_every_hook_has_a_heading_and_all_its_arguments_below() -> None:
    text = (REFERENCE / "hooks.md").read_text()
    hooks = {
        name: one for name, one in vars(hookspecs).items() if name.startswith("pytest_recipe_")
    }

    assert hooks.keys() - headings("hooks.md") == set()
    for name, one in hooks.items():
        arguments = ", ".join(inspect.signature(one).parameters)
        assert f"## `{name}`\n\n`{name}({arguments})`" in text


def test_every_name_for_authors_of_plugins_is_described() -> None:
    text = (REFERENCE / "hooks.md").read_text()
    assert set(extending.__all__) - headings("hooks.md") == set()
    for model in (extending.StepEnvironment, extending.Criterion, extending.Evidence):
        section = text.partition(f"### `{model.__name__}`")[2].partition("\n### ")[0]
        named = set(re.findall(r"\w+", section))
        assert set(model.__struct_fields__) - named == set()


def test_every_name_for_readers_of_runs_is_described() -> None:
    named = set(re.findall(r"\w+", (REFERENCE / "reading.md").read_text()))

    assert {*reading.__all__, *rendering.__all__} - named == set()


def test_every_figure_of_a_step_is_in_a_table() -> None:
    cells = re.findall(r"^\| (`.+?) \|", (REFERENCE / "report-json.md").read_text(), re.MULTILINE)
    described = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}

    assert set(Resources.__struct_fields__) - described == set()
