"""Data-flow check: Context keys that are read before they are written, and missing programs.

Computed keys are not guessed. If code that cannot be analysed may have written a key, the key
is not reported.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from pytest_orchestrator.core import files, suggestions
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest, project_files
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.recipe.analysis.python_source import ANY, flow_of_all
from pytest_orchestrator.recipe.analysis.source_files import Sources
from pytest_orchestrator.recipe.analysis.step_access import (
    UNSEEN,
    ContextRead,
    StepFlow,
    Write,
    mentions,
    mismatches,
    step_flow,
)
from pytest_orchestrator.recipe.expressions.command_line import (
    Command,
    Script,
    commands_of,
    ends_at_failure,
    is_builtin,
    marked,
    needs_shell,
    runs_as_shell,
    template_needs_shell,
)
from pytest_orchestrator.recipe.expressions.expression import OPENING
from pytest_orchestrator.recipe.fields.resolve import plain_locks
from pytest_orchestrator.recipe.fields.silent_slips import silent_slips
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import PythonStep, ShellStep, SshStep, Step
from pytest_orchestrator.recipe.problems import Problem, RecipeError

Severity = Literal["error", "warning"]


class Finding(Struct, frozen=True):
    """A problem of a recipe that is found by a comparison with other files or steps.

    Attributes:
        severity: ``error`` if the step certainly fails, or does not wait for the step that writes a
            key. ``warning`` if the scriptlet may handle the problem, if the run may take place on
            another machine, or if the problem occurs only when steps run at the same time.
        path: The id of the recipe file with the problem.
        text: The complete text of that file.
        problem: The problem.
    """

    severity: Severity
    path: str
    text: str
    problem: Problem

    def render(self) -> str:
        """Return the message of the finding, with its source line and a caret below the place."""
        problem = self.problem
        if self.severity == "warning":
            problem = msgspec.structs.replace(problem, head=f"warning: {problem.head}")
        return RecipeError([problem], self.path, self.text).render()


def finding(
    recipe: Recipe, step: Step, severity: Severity, place: Place, head: str, hint: str = ""
) -> Finding:
    """Create a finding at a place in the recipe file that defines a step.

    Args:
        recipe: The recipe.
        step: The step.
        severity: The severity.
        place: The place.
        head: The message.
        hint: The proposed correction; brackets around it are removed.
    """
    source = recipe.source(step)
    return Finding(severity, source.id, source.text, Problem(place, head, hint=hint.strip(" ()")))


_SETS_E = lazy_pattern(r"^\s*set\s+-(?:[A-Za-z]*e|o\s+errexit)", re.MULTILINE)
"""Pattern for the line of a script that sets `-e`."""

_OPEN = frozenset({".", "source", "eval", "alias", "enable", "hash"})
"""Commands after which any name may be a command."""


def check_existence(recipe: Recipe, sources: Sources) -> Iterator[Finding]:
    """Yield findings for missing programs, modules and functions, and for wrong `params`."""
    for step in (*recipe.steps, *recipe.final, *(one.step for one in recipe.samplers)):
        if isinstance(step, PythonStep):
            yield from _callable(recipe, step, sources)
        elif isinstance(step, ShellStep):
            yield from _commands(recipe, step, sources)


def _callable(recipe: Recipe, step: PythonStep, sources: Sources) -> Iterator[Finding]:
    module = sources.module(step.module)
    if module is None:
        if not sources.changes_sys_path:
            head = f"there is no module '{step.module}'"
            near = suggestions.module_hint(step.module, sources.root)
            yield finding(recipe, step, "error", step.at["module"], head, near)
        return
    kind, name = ("class", step.class_) if step.class_ else ("function", step.function)
    if name in module.names:
        for one in mismatches(step, module, {*recipe.fixtures, *step.fixtures}):
            severity: Severity = "error" if one.is_sure else "warning"
            yield finding(recipe, step, severity, one.place, one.head, one.hint)
        return
    if module.is_open:
        return
    head = f"module '{step.module}' has no {kind} '{name}'"
    near = nearest(str(name), [one for one in module.names if not one.startswith("_")])
    yield finding(recipe, step, "error", step.at[kind], head, near)


def _commands(recipe: Recipe, step: ShellStep, sources: Sources) -> Iterator[Finding]:
    """Yield findings for the programs that the `cmd` of a step runs."""
    is_far = isinstance(step, SshStep)
    if is_direct(step) or not isinstance(step.cmd, str):
        if not is_far:
            program = step.cmd.split()[0] if isinstance(step.cmd, str) else step.cmd[0]
            yield from _program(recipe, step, sources, program)
        return
    if step.shell in (None, "sh", "bash"):
        yield from _script(recipe, step, step.cmd, is_far=is_far)
    elif isinstance(step.shell, tuple) and _continues(step.shell, step.cmd):
        place = step.at.get("shell") or step.at["cmd"]
        head = f"{step.shell[0]} without -e does not end a script at a line that fails"
        yield finding(recipe, step, "warning", place, head, "add -e to the list")
    shell = _named_shell(step)
    if shell and not is_far and _is_missing(step, shell):
        place = step.at.get("shell") or step.at["cmd"]
        yield finding(recipe, step, "warning", place, _no_program(shell))


def _continues(shell: tuple[str, ...], cmd: str) -> bool:
    """Return True if a shell of a list runs the commands after one that fails."""
    if not runs_as_shell(shell) or ends_at_failure(shell):
        return False
    script = commands_of(cmd)
    if script is None:
        return len(re.split("[;\n]", cmd.strip())) > 1 and not _SETS_E.search(cmd)
    return len(script.commands) > 1 and not any(
        one.program == "set" and ends_at_failure(("set", *one.words)) for one in script.commands
    )


def _named_shell(step: ShellStep) -> str:
    """Return the shell program of a step if some machines lack it; else an empty text."""
    if isinstance(step.shell, tuple):
        return step.shell[0]
    return "bash" if step.shell == "bash" else ""


def _script(recipe: Recipe, step: ShellStep, cmd: str, *, is_far: bool) -> Iterator[Finding]:
    """Yield findings for the commands of a shell script; none if the parser rejects the script."""
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
    """Yield the commands whose failure the shell ignores: those not last in a pipeline."""
    for one in script.commands:
        if one.program == "set" and "pipefail" in one.words:
            return
        if one.piped and not one.guarded and one.program not in (None, "echo", "printf"):
            yield one


def _missing(step: ShellStep, script: Script) -> Iterator[Command]:
    """Yield the first command for each program that is not installed on this machine."""
    asked = {
        word
        for one in script.commands
        if one.program in ("command", "type", "which", "hash")
        for word in one.words
    }
    ignored = asked | script.functions
    if "PATH" in script.variables:
        return
    for one in script.commands:
        name = one.program
        if name in _OPEN or any(word.startswith("PATH=") for word in one.words):
            return  # later programs may be anywhere
        if name is None or one.guarded or "/" in name or name in ignored or is_builtin(name):
            continue
        ignored.add(name)
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
    # An earlier step may create the program.
    is_sure = os.path.exists(path) or "did you mean" in reason or not (step.needs or step.after)
    yield finding(recipe, step, "error" if is_sure else "warning", place, reason)


def is_direct(step: ShellStep) -> bool:
    """Return True if the command line of a step is executed without a shell."""
    if step.shell is not None or not isinstance(step.cmd, str):
        return step.shell is None
    template = next((one for one in step.templates if one.path == ("cmd",)), None)
    return not (template_needs_shell(template) if template else needs_shell(step.cmd))


_IN_SOURCE = lazy_pattern(r"\.(?:set|append|increment)\(\s*[rf]?([\"'])([\w.-]+)\1")
_AROUND = ""
"""Name in place of a step for code that runs before all steps, such as fixtures."""
_TESTS = lazy_pattern(r"(?:test_.*|.*_test|conftest)\.py")


class Dataflow:
    """Data-flow checks of the recipes of one project.

    Args:
        sources: The files of the project.
        recipe_at: Returns the recipe at a path, or None if the recipe has errors.
    """

    def __init__(self, sources: Sources, recipe_at: Callable[[Path], Recipe | None]) -> None:
        self.sources = sources
        self._recipe_at = recipe_at
        self._flows: dict[int, dict[str, StepFlow]] = {}
        self._kept: list[Recipe] = []

    def findings(self, recipe: Recipe) -> list[Finding]:
        """Return all findings of a recipe, sorted by file, line and column."""
        findings = [
            *check_existence(recipe, self.sources),
            *_Check(recipe, self).findings(),
            *(
                Finding("warning", source.id, source.text, problem)
                for problem, source in silent_slips(recipe).items()
            ),
        ]
        return sorted(
            dict.fromkeys(findings),
            key=lambda one: (
                one.path,
                one.problem.place.line,
                one.problem.place.column,
                one.severity,
            ),
        )

    def flows(self, recipe: Recipe) -> dict[str, StepFlow]:
        """Return, by step name, the Context keys that each step of a recipe reads and writes."""
        if id(recipe) not in self._flows:
            self._kept.append(recipe)
            steps = (*recipe.steps, *recipe.final)
            self._flows[id(recipe)] = {
                step.name: step_flow(step, self.sources, recipe.fixtures) for step in steps
            }
        return self._flows[id(recipe)]

    def writer(self, key: str, among: Iterable[tuple[Recipe, Step]]) -> tuple[Recipe, Step] | None:
        """Return the first step that writes a Context key, with its recipe; None if no step does.

        A step that writes the literal key is preferred to one that writes a computed key. A step
        that cannot be analysed and whose source contains the key comes last.

        Args:
            key: The key, or a path below one.
            among: Pairs of a recipe and one of its steps, in the order of the search.
        """
        flows = [(each, self.flows(each[0])[each[1].name]) for each in among]
        writers = [
            (each, write.key)
            for each, flow in flows
            for write in (*flow.writes, *flow.promises)
            if write.may_create(key)
        ]
        writers.sort(key=lambda writer: ANY in writer[1])
        if writers:
            return writers[0][0]
        unseen = (each for each, flow in flows if flow.is_open)
        return next((each for each in unseen if mentions(each[1], key, self.sources)), None)

    def flows_of_needed_recipes(self, recipe: Recipe) -> Iterator[StepFlow]:
        """Yield the flow of each step of the recipes that a recipe needs, directly or indirectly.

        A recipe with a matrix, or with its own Context, is left out. A recipe with errors has the
        flow `UNSEEN`.
        """
        seen = {recipe.path}
        left = [recipe]
        while left:
            for need in left.pop().needs:
                path = self.sources.root / need.path
                other = self._recipe_at(path)
                if other is None:
                    yield UNSEEN
                elif other.path not in seen:
                    seen.add(other.path)
                    left.append(other)
                    if other.context == "session" and not other.matrix:
                        yield from self.flows(other).values()

    @cached_property
    def writers(self) -> dict[str, str]:
        """The Context keys that Python files of the project write, each with the path of its file.

        The path is empty if a test or a ``conftest.py`` writes the key.
        """
        files_by_key: dict[str, str] = {}
        for path in project_files(self.sources.root, ".py"):
            name = "" if _TESTS.fullmatch(path.name) else self.sources.display_path(path)
            try:
                text = files.text(path, errors="replace")
            except OSError:
                continue
            for _, key in _IN_SOURCE.findall(text):
                if files_by_key.get(key) != "":
                    files_by_key[key] = name
        return files_by_key


class _Check:
    """Data-flow check of one recipe."""

    def __init__(self, recipe: Recipe, about: Dataflow) -> None:
        self._recipe = recipe
        self._about = about
        self._steps = {step.name: step for step in (*recipe.steps, *recipe.final)}
        self._flows = about.flows(recipe)
        around = [*about.flows_of_needed_recipes(recipe), *self._fixtures()]
        self._is_open = any(flow.is_open for flow in around)
        self._open = {name for name, flow in self._flows.items() if flow.is_open}
        self._writes: dict[str, list[tuple[str, Write]]] = {}
        for name, flow in (*self._flows.items(), *((_AROUND, flow) for flow in around)):
            for write in (*flow.writes, *flow.promises):
                self._writes.setdefault(_bucket(write.key), []).append((name, write))

    def findings(self) -> Iterator[Finding]:
        """Yield the findings for reads without an earlier write, and for races."""
        if not self._is_open:
            wanted: dict[tuple[str, str, Place], tuple[Step, ContextRead]] = {}
            for step in self._steps.values():
                for want in self._flows[step.name].reads:
                    # Reads of a `use` belong to all of its steps; the first step reports them.
                    who = want.use.name if want.use else step.name
                    wanted.setdefault((who, want.key, want.place), (step, want))
            found = (self._wanted(who, *each) for (who, _, _), each in wanted.items())
            yield from (one for one in found if one)
        yield from self._races()

    def _fixtures(self) -> Iterator[StepFlow]:
        """Yield the flow of each ``conftest.py``, and `UNSEEN` for fixtures outside of them."""
        named = {name for step in self._steps.values() for name in step.fixtures}
        named |= {*self._recipe.fixtures}
        for folder, module in self._about.sources.conftests.items():
            if self._recipe.path.is_relative_to(folder):
                flow = flow_of_all(module)
                writes = tuple(Write(key, how, Place(1, 1)) for key, how in flow.writes)
                yield StepFlow((), writes, (), is_open=flow.is_open, is_opaque=False)
                named -= module.names.keys()
        if named:
            yield UNSEEN

    def _wanted(self, who: str, step: Step, want: ContextRead) -> Finding | None:
        own = self._flows[step.name]
        has_run = want.is_late or not want.is_sure
        if (has_run and own.is_open) or self._waits_for(step, self._open):
            return None
        is_promise = any(write.place == want.place for write in own.promises)
        if is_promise and own.is_opaque:
            return None
        matching = self._meeting(want.key)
        writers = {name for name, write in matching if name != step.name}
        is_own = any(name == step.name and write.how for name, write in matching)
        if _AROUND in writers or (has_run and is_own) or self._waits_for(step, writers):
            return None
        severity: Severity = "error" if want.is_sure else "warning"
        head, hint = f"step '{who}' {want.phrase}", ""
        if is_own and not writers:
            head = f"{head}, which it writes only afterwards"
        elif not writers:
            unwritten = self._unwritten(want)
            if unwritten is None or self._open - {step.name}:
                return None
            head, hint = f"{head}, which nothing writes", unwritten
        elif all(self._waits_for(self._steps[name], {step.name}) for name in writers):
            head = f"{head}, which step '{min(writers)}' writes only later"
        else:
            name = next(name for name in self._steps if name in writers)
            head = f"{head}, and does not wait for step '{name}', which writes it"
            hint = f"needs: [{name}]"
        if want.use is not None:  # the place is in the using file
            step = msgspec.structs.replace(step, file_use=want.use.outer)
        return finding(self._recipe, step, severity, want.place, head, hint)

    def _unwritten(self, want: ContextRead) -> str | None:
        """Return the hint for a key that no step writes; None if a test may write the key."""
        file = self._about.writers.get(want.key)
        if file is not None:
            return f"{file} does, and no step of this recipe calls it" if file else None
        all_writes = (write for writes in self._writes.values() for _, write in writes)
        keys = dict.fromkeys(write.key for write in all_writes if write.place != want.place)
        # A key that is only promised, by `ctx_has_keys`, is among them.
        return nearest(want.key, [key for key in keys if ANY not in key and key != want.key])

    def _meeting(self, key: str) -> list[tuple[str, Write]]:
        near = (*self._writes.get(_bucket(key), ()), *self._writes.get(ANY, ()))
        return [(name, write) for name, write in near if write.may_create(key)]

    def _waits_for(self, step: Step, names: set[str]) -> bool:
        """Return True if a step begins only after one of the named steps has ended."""
        if step.is_final:
            return any(self._steps[name].index < step.index for name in names if name != _AROUND)
        left = [*step.needs, *step.after] if names else []
        seen = {*left}
        while left:
            name = left.pop(0)
            if name in names:
                return True
            more = {*self._steps[name].needs, *self._steps[name].after} - seen
            seen |= more
            left += more
        return False

    def _races(self) -> Iterator[Finding]:
        """Yield a finding for each key that two steps may write at the same time."""
        writers: dict[str, dict[str, Write]] = {}
        for step in self._recipe.steps:
            for write in self._flows[step.name].writes:
                if ANY not in write.key:
                    writers.setdefault(write.key, {})[step.name] = write
                    if write.how == "set" and _cells_may_meet(step):
                        head = f"all cells of step '{step.name}' write '{write.key}', and may run "
                        head, hint = f"{head}at the same time", "write a key for each cell"
                        yield finding(self._recipe, step, "warning", write.place, head, hint)
        for key, writes in writers.items():
            for one, other in pairwise(writes):
                step = self._steps[other]
                if "set" in (writes[one].how, writes[other].how) and self._may_meet(one, step):
                    head = f"steps '{one}' and '{other}' both write '{key}', and may run at the "
                    place, hint = writes[other].place, f"after: [{one}]"
                    yield finding(self._recipe, step, "warning", place, f"{head}same time", hint)

    def _may_meet(self, name: str, other: Step) -> bool:
        one = self._steps[name]
        apart = {*one.locks} & {*other.locks} or (_is_conditional(one) and _is_conditional(other))
        return not apart and not self._waits_for(other, {name})


def _cells_may_meet(step: Step) -> bool:
    """Return True if a step has a matrix whose cells may run at the same time."""
    has_cells = step.matrix is not None or any(use.matrix is not None for use in step.uses)
    return has_cells and not plain_locks(step.locks, step.templates)


def _is_conditional(step: Step) -> bool:
    """Return True if a step, or the step with `use` that includes it, has an `if` condition."""
    return step.if_ is not None or (
        step.file_use is not None and step.file_use.condition is not None
    )


def _bucket(key: str) -> str:
    """Return the first part of a key; `ANY` if that part is computed."""
    first = key.partition(".")[0]
    return ANY if ANY in first else first
