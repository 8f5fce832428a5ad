"""Questions for the missing inputs of recipes, at the terminal and before the first step."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.questions import Question
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.plugin.callables import at_recipe
from pytest_orchestrator.plugin.options.variables import ASK
from pytest_orchestrator.plugin.questions.form import TerminalClosed, fill
from pytest_orchestrator.plugin.questions.presenter import terminal_of
from pytest_orchestrator.recipe.variables import ExternalValue

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.recipe.model.recipe import Recipe


def ask_inputs(
    config: pytest.Config, recipe: "Recipe", fields: Mapping[str, InputField]
) -> dict[str, ExternalValue]:
    """Ask for the values of inputs at the terminal of the session.

    Args:
        config: The configuration of the session.
        recipe: The recipe that needs them.
        fields: The inputs by name.

    Returns:
        The values by name; empty without a terminal, under ``CI`` and at the end of the input.
    """
    with terminal_of(config) as terminal:
        if isinstance(terminal, str):
            return {}
        count = "an input" if len(fields) == 1 else f"{len(fields)} inputs"
        question = Question(message=f"{recipe.id} needs {count}.", fields=dict(fields))
        try:
            values, _ = fill(terminal, "orchestrator: before the first step", question, _never)
        except TerminalClosed:
            terminal.write("\n")
            return {}
        except KeyboardInterrupt as end:
            name = next(iter(fields))
            # pytest reports the last frame, so that must be the recipe.
            raise at_recipe(end, recipe.path, name, recipe.at[f"inputs.{name}"].line) from None
    return {name: ExternalValue(value, ASK, _text(value)) for name, value in values.items()}


def _never() -> bool:
    return False


def _text(value: "Json") -> str:
    """Return a value in the form that `--recipe-var` takes."""
    return value if isinstance(value, str) else json.dumps(value)
