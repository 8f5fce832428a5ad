"""Environment variables of steps: `env` and `args` of a step, of `defaults` and of the root."""

import re
from collections.abc import Sequence
from typing import Any, Final

from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.fields.values import Templates
from pytest_orchestrator.recipe.model.step import ShellStep, Step
from pytest_orchestrator.recipe.parsing.nodes import BROKEN, Pairs, pairs
from pytest_orchestrator.recipe.pyyaml import MappingNode, Node, ScalarNode

VARIABLES = ("env", "args")
"""The keys for environment variables; steps that run no command have only the first."""

_OF_THE_START: Final = r"PYTHONPATH|LD_.*"
"""Variables that the interpreter and the loader of programs read only at their start."""


def shared_environment(root: Pairs, defaults: Pairs, reading: Reading) -> Pairs:
    """Return the defaults of a file, with its root key ``env`` merged into those of steps.

    Args:
        root: The root keys of the file that have no problem.
        defaults: The keys of ``defaults`` that have no problem.
        reading: Receives the problems.
    """
    if "env" in defaults and "args" in defaults:
        hint = "they are the same: put all variables into 'env'"
        place = reading.values.place(defaults["args"][0])
        reading.problems.add(place, "'args' beside 'env' in 'defaults'", hint=hint)
        return {key: pair for key, pair in defaults.items() if key not in VARIABLES}
    if "env" not in root:
        return defaults
    layers = [root["env"], *(defaults[key] for key in ("env",) if key in defaults)]
    return {**defaults, "env": _merged(layers, reading)}


def with_environment(own: Pairs, completed: Pairs, shared: Pairs, reading: Reading) -> Pairs:
    """Return the keys of a step with the variables of all layers under its own key.

    Args:
        own: The keys of the step.
        completed: The same keys, completed by the other defaults.
        shared: The defaults of the file, as `shared_environment` returns them.
        reading: Receives the problems.
    """
    given = [key for key in VARIABLES if key in own]
    if len(given) == 2:
        hint = "they are the same: put all variables into 'env'"
        place = reading.values.place(own["args"][0])
        reading.problems.add(place, "'args' beside 'env'", reading.where, hint=hint)
        return completed
    layers = [shared[key] for key in VARIABLES if key in shared] + [own[key] for key in given]
    if not layers:
        return completed
    name = given[0] if given else "env"
    result: Pairs = {}
    for key, pair in [*completed.items(), (name, layers[-1])]:  # at the place of the first of them
        if key in VARIABLES and name in result:
            continue
        result[name if key in VARIABLES else key] = pair
    return result | {name: _merged(layers, reading)}


def _merged(layers: Sequence[tuple[ScalarNode, Node]], reading: Reading) -> tuple[ScalarNode, Node]:
    """Merge mappings of variables, the weakest first; report an expression among several."""
    name, last = layers[-1]
    if len(layers) == 1:
        return name, last
    for _, node in layers:
        if type(node) is not MappingNode or node.tag == BROKEN:
            tail = " is an expression, and other variables are set in the same file"
            reading.report(node, "env", tail, "write the variables one by one")
            return name, last
    both: Pairs = {}
    for _, node in layers:
        both |= pairs(node)
    return name, MappingNode(last.tag, both, last.start_mark, last.end_mark)


def use_one_field(model: type[Step], fields: dict[str, Any], templates: Templates) -> None:
    """Move the variables of a step that runs a command from the field `env` to `args`.

    Args:
        model: The Struct of the step.
        fields: The fields of the step.
        templates: The expressions in its values.
    """
    if "env" not in fields or not issubclass(model, ShellStep):
        return
    fields["args"] = fields.pop("env")
    moved = Templates()
    moved.move(templates, lambda path: ("args", *path[1:]) if path[:1] == ("env",) else path)
    templates.found = moved.found


def has_no_effect(name: str) -> bool:
    """Return True if a Python process reads an environment variable only at its start."""
    return re.fullmatch(_OF_THE_START, name) is not None
