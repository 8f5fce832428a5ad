"""What all steps of a file have that do not say it themselves.

A default is read once, where it stands, and then for each step as if it stood there: so its
expressions, its place in messages and all else are those of a key of the step.
"""

from typing import Any

from msgspec import Struct, field
from yaml import MappingNode, Node

from pytest_orchestrator.recipe.custom import CustomStep
from pytest_orchestrator.recipe.nested import nested
from pytest_orchestrator.recipe.nodes import BROKEN, Pairs, pairs
from pytest_orchestrator.recipe.reading import Reading
from pytest_orchestrator.recipe.retry import Retry
from pytest_orchestrator.recipe.step_keys import Label, Resources, Retries, Step, Timeout
from pytest_orchestrator.recipe.step_types import (
    Args,
    CodeStep,
    Isolation,
    Parse,
    Shell,
    WorkingDirectory,
)
from pytest_orchestrator.recipe.walk import fields_of, keys_of
from pytest_orchestrator.recipe.words import either, quoted

_OF_ITS_END = frozenset({"isolation", "parse"})
"""Keys that a service cannot have, since they tell how a step returns."""


class Defaults(Struct, frozen=True, kw_only=True):
    """The keys that ``defaults`` may have; `args` are merged below those of a step."""

    timeout: Timeout = None
    retry: Retries = None
    isolation: Isolation = "process"
    args: Args = field(default_factory=dict)
    parse: Parse = "json"
    shell: Shell = None
    cwd: WorkingDirectory = None
    host: Label = None
    resources: Resources = field(default_factory=dict)


def read(node: Node, reading: Reading) -> tuple[Defaults, Pairs]:
    """Read ``defaults``.

    Args:
        node: Its value.
        reading: Takes the problems.

    Returns:
        Their values, and of the keys that have no problem the nodes.
    """
    if type(node) is not MappingNode or node.tag == BROKEN:
        reading.mismatch(node, "defaults", "a mapping")
        return Defaults(), {}
    found: Pairs = {}
    fields: dict[str, Any] = {}
    for name, pair in pairs(node).items():
        before = len(reading.problems.found)
        fields |= _fields({name: pair}, reading)
        if len(reading.problems.found) == before:
            found[name] = pair
    return Defaults(**fields), found


def _fields(found: Pairs, reading: Reading) -> dict[str, Any]:
    def unknown(name: str, node: Node) -> None:
        place, known = reading.values.place(node), keys_of(Defaults)
        hint = reading.problems.meant(name, known) or f"it may have {either(known)}"
        reading.problems.add(place, f"unknown key {quoted(name)} in 'defaults'", hint=hint)

    fields = fields_of(Defaults, found, reading, unknown, "defaults.")
    if "retry" in found:
        retry = nested(Retry, found["retry"][1], "defaults.retry", reading)
        fields["retry"] = retry and Retry(**retry)
    return fields


def under(own: Pairs, defaults: Pairs, model: type[Step], *, is_service: bool) -> Pairs:
    """Return the keys of a step with the defaults that it does not have itself.

    Args:
        own: The keys that it has.
        defaults: The defaults of the file.
        model: The Struct of its type.
        is_service: It goes on in the background.
    """
    known: Any = keys_of(CodeStep if issubclass(model, CustomStep) else model).keys() - (
        _OF_ITS_END if is_service else set()
    )
    found = {name: pair for name, pair in defaults.items() if name in known and name not in own}
    found |= own
    if "args" in known and "args" in own and "args" in defaults:
        name, node = own["args"]
        if type(node) is MappingNode and node.tag != BROKEN:
            both = pairs(defaults["args"][1]) | pairs(node)
            found["args"] = (name, MappingNode(node.tag, both, node.start_mark, node.end_mark))
    return found
