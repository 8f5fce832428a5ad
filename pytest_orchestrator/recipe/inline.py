"""What cannot be asked of a step that has no process of its own on this machine."""

from collections.abc import Collection, Iterable

from pytest_orchestrator.recipe.nodes import pairs
from pytest_orchestrator.recipe.problems import Problems
from pytest_orchestrator.recipe.step_types import CodeStep, SshStep
from pytest_orchestrator.recipe.steps import Draft
from pytest_orchestrator.recipe.success import OF_A_PROCESS, OF_SHELL
from pytest_orchestrator.recipe.values import Values

_ASKED = OF_A_PROCESS - OF_SHELL
_OF_THE_TREE = frozenset({"max_cpu_seconds", "max_rss_mb", "leftover_processes"})


def check(
    steps: Iterable[Draft], shared: Collection[str], values: Values, problems: Problems
) -> None:
    """Note criteria that need a process of its own where a step has none.

    Args:
        steps: The steps as they were read.
        shared: Fixtures of the recipe, which all steps are given.
        values: Tells places.
        problems: Takes what is wrong.
    """
    for step in steps:
        cause = _cause(step, shared)
        far = issubclass(step.model, SshStep)
        names = {one.name for one in step.fields.get("success", ())}
        names &= _OF_THE_TREE if far else _ASKED
        if not cause or not names:
            continue
        for name, (key, _) in pairs(step.node_of("success")).items():
            if name in names:
                problems.add(
                    values.place(key),
                    f"'{name}' needs a process {'on this machine' if far else 'of its own'}",
                    f", and {step.title} runs {'on another' if far else 'inside pytest'}",
                    hint=cause,
                )


def _cause(step: Draft, shared: Collection[str]) -> str:
    if issubclass(step.model, SshStep):
        return "measure there what is to be asked, and print it"
    if not issubclass(step.model, CodeStep):
        return ""
    if step.fields.get("isolation") == "inline":
        return "it says 'isolation: inline'"
    if step.fields.get("fixtures"):
        return "it has 'fixtures'"
    return "the recipe has 'fixtures'" if shared else ""
