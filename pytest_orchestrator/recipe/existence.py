"""Whether what steps name is there: modules, what is in them, programs. Nothing is imported."""

import os
import shutil
from collections.abc import Iterator

from pytest_orchestrator.core import missing
from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.recipe.command_line import needs_shell, template_needs_shell
from pytest_orchestrator.recipe.expressions import OPENING
from pytest_orchestrator.recipe.findings import Finding, finding
from pytest_orchestrator.recipe.model import PythonStep, Recipe, ShellStep, SshStep
from pytest_orchestrator.recipe.sources import Sources


def check(recipe: Recipe, sources: Sources) -> Iterator[Finding]:
    """Return what is not there of what the steps of a recipe name."""
    for step in (*recipe.steps, *recipe.final):
        if isinstance(step, PythonStep):
            yield from _callable(recipe, step, sources)
        elif isinstance(step, ShellStep) and not isinstance(step, SshStep):
            yield from _program(recipe, step, sources)


def _callable(recipe: Recipe, step: PythonStep, sources: Sources) -> Iterator[Finding]:
    module = sources.module(step.module)
    if module is None:
        if not sources.has_ways_of_its_own:
            head = f"there is no module '{step.module}'"
            near = missing.module(step.module, sources.root)
            yield finding(recipe, step, "error", step.at["module"], head, near)
        return
    kind, name = ("class", step.class_) if step.class_ else ("function", step.function)
    if name in module.names or module.is_open:
        return
    head = f"module '{step.module}' has no {kind} '{name}'"
    near = nearest(str(name), [one for one in module.names if not one.startswith("_")])
    yield finding(recipe, step, "error", step.at[kind], head, near)


def _program(recipe: Recipe, step: ShellStep, sources: Sources) -> Iterator[Finding]:
    program = _direct(step)
    place = step.at["cmd"]
    if not program or OPENING in program:
        return
    if "/" not in program:
        if shutil.which(program) is None and "PATH" not in step.args:
            head = f"there is no program '{program}' on this machine"
            yield finding(recipe, step, "warning", place, head)
        return
    path = os.path.normpath(sources.root / program)
    if os.access(path, os.X_OK) and not os.path.isdir(path):
        return
    _, reason, _ = missing.program(path, str(sources.root), OSError(), sources.root, ())
    # An earlier step may be what makes it.
    is_sure = os.path.exists(path) or "did you mean" in reason or not (step.needs or step.after)
    yield finding(recipe, step, "error" if is_sure else "warning", place, reason)


def _direct(step: ShellStep) -> str:
    """Return the program of a command that no shell reads; empty where one does."""
    if not isinstance(step.cmd, str):
        return step.cmd[0]
    template = next((one for one in step.templates if one.path == ("cmd",)), None)
    shell = template_needs_shell(template) if template else needs_shell(step.cmd)
    return "" if shell else step.cmd.split()[0]
