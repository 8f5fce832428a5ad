"""Check of the keys ``foreach`` and ``fail_fast`` of a step."""

from pytest_orchestrator.recipe.fields.readers import Reading
from pytest_orchestrator.recipe.parsing.nodes import Pairs
from pytest_orchestrator.recipe.parsing.source import PLAIN
from pytest_orchestrator.recipe.pyyaml import ScalarNode

_WANTED = "an expression that gives a list, or a list"
_LEAVE = "leave one of them out"


def without_null_list(key_nodes: Pairs, reading: Reading) -> Pairs:
    """Return the keys of a step without ``foreach`` if its list is null, which is reported.

    Args:
        key_nodes: The keys of the step and their nodes.
        reading: Receives the problem.
    """
    node = key_nodes["foreach"][1] if "foreach" in key_nodes else None
    if type(node) is not ScalarNode or node.tag != PLAIN or not node.value:
        return key_nodes
    if reading.values.with_expressions.scalar(node) is not None:
        return key_nodes
    reading.report_kind(node, "foreach", _WANTED)
    return {name: pair for name, pair in key_nodes.items() if name != "foreach"}


def check_foreach(key_nodes: Pairs, reading: Reading, *, is_service: bool) -> None:
    """Report the problems of ``foreach`` and ``fail_fast`` that do not depend on a run.

    Args:
        key_nodes: The keys of the step and their nodes.
        reading: Receives the problems.
        is_service: True for a step with `background: true`.
    """
    if "foreach" not in key_nodes:
        node = key_nodes["fail_fast"][0]
        hint = "it ends the loop over the elements of a list"
        reading.report(node, "fail_fast", " stands without 'foreach'", hint)
        return
    key, list_node = key_nodes["foreach"]
    if is_service:
        tail = " stands beside 'background': a service is started once"
        reading.report(key, "foreach", tail, _LEAVE)
    if type(list_node) is ScalarNode and list_node.tag == PLAIN and list_node.value:
        value = reading.values.with_expressions.scalar(list_node)
        if isinstance(value, bool | int | float):  # `_Condition` takes it as an expression
            reading.report_kind(list_node, "foreach", _WANTED)
