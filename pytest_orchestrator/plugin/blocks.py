"""The block of a step as it leaves the plugin: without secrets; and how reports carry it."""

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.plugin import masking
from pytest_orchestrator.plugin.plain_reports import BLOCK
from pytest_orchestrator.plugin.state import state_of

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.scheduling.serial import RecipeRun
    from pytest_orchestrator.plugin.state import State
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step

ATTRIBUTE = BLOCK
"""Attribute of a report that carries the block of its step."""

_OF_THE_FILE = {"at", "final", "fixtures", "id", "locks", "needs", "path", "required", "secrets"}
_OF_THE_FILE |= {"sha256", "steps", "tags", "templates", "text", "version"}
"""Fields of a recipe that tell no value: names, paths, what blocks of steps tell anyway."""

NEEDED = "orchestrator_needed"
"""Attribute of a report that carries the blocks of steps that ran in its setup."""


def key_of(block: dict[str, Any]) -> str:
    """Return what a run of a recipe is called: its path, and the cell of its matrix."""
    recipe = block["recipe"]
    return f"{recipe['path']}[{recipe['cell']}]" if "cell" in recipe else str(recipe["path"])


def carried(report: pytest.TestReport) -> list[dict[str, Any]]:
    """Return the blocks that a report carries."""
    blocks = (*getattr(report, NEEDED, ()), getattr(report, ATTRIBUTE, None))
    return [block for block in blocks if block is not None]


def block_of(
    config: pytest.Config,
    run: "RecipeRun",
    step: "Step",
    result: "StepResult",
    *,
    state: str | None = None,
) -> "dict[str, Json]":
    """Return the block of a step, without secrets.

    Args:
        config: The configuration of the session.
        run: The run of its recipe.
        step: The step.
        result: What became of it.
        state: What pytest made of the outcome, where that is another word.
    """
    from pytest_orchestrator.reports import block as report_block

    session = state_of(config)
    if result.restored is not None:
        return session.restored[run.recipe.key, step.name]
    worker = getattr(config, "workerinput", {}).get("workerid", "main")
    return report_block.block(
        _masked_recipe(session, run.reported),
        _masked_step(session, step),
        session.masked(result),
        root=config.rootpath,
        folder=session.folder.path,
        worker=worker,
        state=state,
    )


def told_of(
    config: pytest.Config, recipe: "Recipe"
) -> "tuple[dict[str, Json], tuple[dict[str, Json], ...]]":
    """Return what blocks tell of a recipe and of each of its steps, whatever becomes of them."""
    from pytest_orchestrator.reports import block as report_block

    session = state_of(config)
    steps = (_masked_step(session, step) for step in (*recipe.steps, *recipe.final))
    about = report_block.of_recipe(_masked_recipe(session, recipe))
    return about, tuple(report_block.of_step(recipe, step) for step in steps)


def _masked_recipe(session: "State", recipe: "Recipe") -> "Recipe":
    if not session.has_secrets:
        return recipe
    return masking.fields(recipe, session.secrets, but=_OF_THE_FILE)


def _masked_step(session: "State", step: "Step") -> "Step":
    if not session.has_secrets:
        return step
    return masking.fields(step, session.secrets, names={"description"})
