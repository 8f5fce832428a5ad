"""Which step would have written a key that a step run without its needs did not find."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from pytest_orchestrator.core import files
from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.recipe import PythonStep, Recipe, ShellStep, SshStep, Step, needed


def with_writers(recipe: Recipe, step: Step, result: StepResult, root: Path) -> StepResult:
    """Name in a failure who would have written what was missing.

    Args:
        recipe: The recipe.
        step: A step that ran without what it needs.
        result: What became of it.
        root: The folder that modules and scripts are looked for in.

    Returns:
        The same result where nothing is known to be missing; the exception of a step gets
        the lines as notes, since pytest shows that instead of the failure.
    """
    failure = result.failure
    if failure is None:
        return result
    lines = tuple(_lines(recipe, step, result, root))
    if failure.exception is not None:
        for line in lines:
            failure.exception.add_note(line)
    detail = (*failure.detail, *lines)
    return msgspec.structs.replace(result, failure=msgspec.structs.replace(failure, detail=detail))


def _lines(recipe: Recipe, step: Step, result: StepResult, root: Path) -> Iterator[str]:
    upstream = needed(recipe, step.name)
    unmet = [str(one.wanted) for one in result.unmet if one.name == "ctx_has_keys"]
    for key in dict.fromkeys((*result.missed, *unmet)):
        for writer in upstream:
            if _writes(writer, key, root):
                place = f"{recipe.source(writer).id}:{writer.line}"
                yield (
                    f"the context has no '{key}': step '{writer.name}' ({place}) writes it, "
                    "and --recipe-needs=none did not run it"
                )
                break


def _writes(step: Step, key: str, root: Path) -> bool:
    """Tell whether a step promises a key, or its file holds the key's name."""
    if any(one.name == "ctx_has_keys" and one.wanted == key for one in step.success):
        return True
    match step:
        case PythonStep():
            file = root.joinpath(*step.module.split(".")).with_suffix(".py")
        case SshStep():
            return False
        case ShellStep(cmd=str() as line):
            file = root / line.split()[0]
        case ShellStep():
            file = root / step.cmd[0]
        case _:
            return False
    try:
        return key in files.text(file, errors="replace")
    except (OSError, ValueError):
        return False
