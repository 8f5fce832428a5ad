"""What must hold after a step: each criterion checked, all that do not hold told."""

import glob
import os
from collections.abc import Callable
from pathlib import Path

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.recipe.model import Criterion, Step


def checked(step: Step, context: Context, root: Path) -> tuple[Verdict, ...]:
    """Check the criteria of a step whose body did as wanted.

    Args:
        step: The step.
        context: The Context as the step left it.
        root: The folder that paths start from.

    Returns:
        A verdict for each criterion, in the order of the recipe; ``exit_code`` apart,
        which belongs to the body.
    """
    return tuple(
        Verdict(
            name=criterion.name,
            wanted=criterion.wanted,
            place=criterion.place,
            unmet=_CHECKS[criterion.name](criterion, context, root),
        )
        for criterion in step.success
        if criterion.name in _CHECKS
    )


def _has_key(criterion: Criterion, context: Context, _root: Path) -> str | None:
    key = str(criterion.wanted)
    if key in context:
        return None
    keys = context.keys()
    near = nearest(key, keys)
    there = "" if near else f"; it has {_listed(keys)}"
    return f"the context has no key '{key}'{near}{there}"


def _file_exists(criterion: Criterion, _context: Context, root: Path) -> str | None:
    name = str(criterion.wanted)
    path = os.path.join(root, name)
    if os.path.exists(path):
        return None
    if glob.has_magic(name):
        # The rootdir is no pattern, whatever its name.
        found = glob.iglob(name, root_dir=root, recursive=True)
        return None if any(True for _ in found) else f"no file matches {name}"
    folder, last = os.path.split(path)
    if not os.path.isdir(folder):
        return f"{name} is not there, nor is its folder"
    return f"{name} is not there{nearest(last, os.listdir(folder))}"


def _listed(names: list[str]) -> str:
    if not names:
        return "none at all"
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


_CHECKS: dict[str, Callable[[Criterion, Context, Path], str | None]] = {
    "ctx_has_keys": _has_key,
    "files_exist": _file_exists,
}
