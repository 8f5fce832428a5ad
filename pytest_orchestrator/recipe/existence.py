"""Whether what steps name is there: modules, what is in them, programs. Nothing is imported."""

import os
import shutil
from collections.abc import Iterator

from pytest_orchestrator.core import suggestions
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.recipe.command_line import (
    is_builtin,
    marked,
    needs_shell,
    template_needs_shell,
)
from pytest_orchestrator.recipe.expressions import OPENING
from pytest_orchestrator.recipe.findings import Finding, finding
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.shell_script import Command, Script, commands_of
from pytest_orchestrator.recipe.sources import Sources
from pytest_orchestrator.recipe.step_types import PythonStep, ShellStep, SshStep

_OPEN = frozenset({".", "source", "eval", "alias", "enable", "hash"})
"""Commands after which a name may be anything."""


def check(recipe: Recipe, sources: Sources) -> Iterator[Finding]:
    """Return what is not there of what the steps of a recipe name."""
    for step in (*recipe.steps, *recipe.final):
        if isinstance(step, PythonStep):
            yield from _callable(recipe, step, sources)
        elif isinstance(step, ShellStep):
            yield from _commands(recipe, step, sources)


def _callable(recipe: Recipe, step: PythonStep, sources: Sources) -> Iterator[Finding]:
    module = sources.module(step.module)
    if module is None:
        if not sources.has_ways_of_its_own:
            head = f"there is no module '{step.module}'"
            near = suggestions.module_hint(step.module, sources.root)
            yield finding(recipe, step, "error", step.at["module"], head, near)
        return
    kind, name = ("class", step.class_) if step.class_ else ("function", step.function)
    if name in module.names or module.is_open:
        return
    head = f"module '{step.module}' has no {kind} '{name}'"
    near = nearest(str(name), [one for one in module.names if not one.startswith("_")])
    yield finding(recipe, step, "error", step.at[kind], head, near)


def _commands(recipe: Recipe, step: ShellStep, sources: Sources) -> Iterator[Finding]:
    """Return what is wrong with the programs of a step, be they read by a shell or not."""
    is_far = isinstance(step, SshStep)
    if not isinstance(step.cmd, str) or _is_direct(step):
        if not is_far:
            program = step.cmd.split()[0] if isinstance(step.cmd, str) else step.cmd[0]
            yield from _program(recipe, step, sources, program)
        return
    if step.shell in (None, "sh", "bash"):
        yield from _script(recipe, step, step.cmd, is_far=is_far)
    shell = _named_shell(step)
    if shell and not is_far and _is_missing(step, shell):
        place = step.at.get("shell") or step.at["cmd"]
        yield finding(recipe, step, "warning", place, _no_program(shell))


def _named_shell(step: ShellStep) -> str:
    """Return the shell of a step that may be missing; empty where it cannot be."""
    if isinstance(step.shell, tuple):
        return step.shell[0]
    return "bash" if step.shell == "bash" else ""


def _script(recipe: Recipe, step: ShellStep, cmd: str, *, is_far: bool) -> Iterator[Finding]:
    """Return what is wrong with the commands of a script, as far as reading it is certain."""
    template = next((one for one in step.templates if one.path == ("cmd",)), None)
    script = commands_of(marked(template) if template else cmd)
    if script is None:
        return
    several = "\n" in cmd.strip()
    for one in [] if is_far else _missing(step, script):
        where = f" (line {one.line} of cmd)" if several else ""
        head = f"{_no_program(str(one.program))}{where}"
        yield finding(recipe, step, "warning", step.at["cmd"], head)
    lost = next(_unseen(script), None) if step.shell != "bash" else None
    if lost is not None:
        where = f" (line {lost.line} of cmd)" if several else ""
        head = f"sh does not see '{lost.program}' fail in a pipeline{where}"
        yield finding(recipe, step, "warning", step.at["cmd"], head, "`shell: bash` does")


def _unseen(script: Script) -> Iterator[Command]:
    """Give the commands of pipelines whose failure nothing sees."""
    for one in script.commands:
        if one.program == "set" and "pipefail" in one.words:
            return
        if one.piped and not one.guarded and one.program not in (None, "echo", "printf"):
            yield one


def _missing(step: ShellStep, script: Script) -> Iterator[Command]:
    """Give the commands whose programs are not on this machine, each program once."""
    asked = {
        word
        for one in script.commands
        if one.program in ("command", "type", "which", "hash")
        for word in one.words
    }
    known = asked | script.functions
    if "PATH" in script.variables:
        return
    for one in script.commands:
        name = one.program
        if name in _OPEN or any(word.startswith("PATH=") for word in one.words):
            return  # what comes after it may be anywhere
        if name is None or one.guarded or "/" in name or name in known or is_builtin(name):
            continue
        known.add(name)
        if _is_missing(step, name):
            yield one


def _is_missing(step: ShellStep, program: str) -> bool:
    return "/" not in program and "PATH" not in step.args and shutil.which(program) is None


def _no_program(name: str) -> str:
    return f"there is no program '{name}' on this machine"


def _program(recipe: Recipe, step: ShellStep, sources: Sources, program: str) -> Iterator[Finding]:
    place = step.at["cmd"]
    if not program or OPENING in program:
        return
    if "/" not in program:
        if _is_missing(step, program):
            yield finding(recipe, step, "warning", place, _no_program(program))
        return
    path = os.path.normpath(sources.root / program)
    if os.access(path, os.X_OK) and not os.path.isdir(path):
        return
    _, reason, _ = suggestions.missing_program(path, str(sources.root), OSError(), sources.root, ())
    # An earlier step may be what makes it.
    is_sure = os.path.exists(path) or "did you mean" in reason or not (step.needs or step.after)
    yield finding(recipe, step, "error" if is_sure else "warning", place, reason)


def _is_direct(step: ShellStep) -> bool:
    """Tell whether no shell reads the command line of a step."""
    if step.shell is not None:
        return False
    template = next((one for one in step.templates if one.path == ("cmd",)), None)
    return not (template_needs_shell(template) if template else needs_shell(str(step.cmd)))
