"""The nearest name, where a recipe or a step is asked for on the command line that is not there."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.plugin.claims import SUFFIXES


def hints(config: pytest.Config) -> Iterator[str]:
    """Return a sentence for each argument of pytest that means no recipe, or no step of one."""
    for argument in config.args:
        name, _, step = argument.partition("::")
        path = config.invocation_params.dir / name
        if not name.endswith(SUFFIXES):
            continue
        if not path.exists():
            near = _recipe(name, config.invocation_params.dir)
            if near:
                yield f"there is no {name}{near}"
        elif step:
            known = _items(path, config)
            near = nearest(step, known) if step not in known else ""
            if near:
                yield f"{name} has no step '{step}'{near}"


def _recipe(name: str, here: Path) -> str:
    from pytest_orchestrator.core import suggestions

    return suggestions.recipe_hint(name, here)


def _items(path: Path, config: pytest.Config) -> list[str]:
    """Return the names of the items of a recipe; none of one that is no good recipe."""
    from pytest_orchestrator.plugin.state import state_of
    from pytest_orchestrator.recipe import RecipeError

    try:
        cells = state_of(config).cells(path)
    except RecipeError:
        return []
    return [
        cell.node(step.name).rpartition("::")[2]
        for cell in cells
        for step in (*cell.steps, *cell.final)
    ]
