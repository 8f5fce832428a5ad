"""Whether what steps read is written before, as far as that is known without a run.

Keys that are computed are not guessed, and where anything unseen could have written a key
nothing is said.
"""

import re
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import msgspec

from pytest_orchestrator.core import files
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.suggestions import nearest, project_files
from pytest_orchestrator.recipe import existence
from pytest_orchestrator.recipe.findings import Finding, Severity, finding
from pytest_orchestrator.recipe.model import Recipe
from pytest_orchestrator.recipe.python_flow import ANY, flow_of_all
from pytest_orchestrator.recipe.sources import Sources
from pytest_orchestrator.recipe.step_flow import UNSEEN, StepFlow, Wanted, Write, step_flow
from pytest_orchestrator.recipe.step_keys import Step

_IN_SOURCE = re.compile(r"\.(?:set|append|increment)\(\s*[rf]?([\"'])([\w.-]+)\1")
_AROUND = ""
"""In place of a step: what is there before all steps."""
_TESTS = re.compile(r"(?:test_.*|.*_test|conftest)\.py")


class Dataflow:
    """Checks recipes of one project.

    Args:
        sources: The files of the project.
        recipe_at: Gives a recipe by its path; None where it is no good.
    """

    def __init__(self, sources: Sources, recipe_at: Callable[[Path], Recipe | None]) -> None:
        self.sources = sources
        self._recipe_at = recipe_at
        self._flows: dict[int, dict[str, StepFlow]] = {}
        self._kept: list[Recipe] = []

    def findings(self, recipe: Recipe) -> list[Finding]:
        """Return what is wrong with a recipe, in the order of its files."""
        found = [*existence.check(recipe, self.sources), *_Check(recipe, self).findings()]
        return sorted(
            dict.fromkeys(found),
            key=lambda one: (
                one.path,
                one.problem.place.line,
                one.problem.place.column,
                one.severity,
            ),
        )

    def flows(self, recipe: Recipe) -> dict[str, StepFlow]:
        """Return what each step of a recipe reads and writes."""
        if id(recipe) not in self._flows:
            self._kept.append(recipe)
            steps = (*recipe.steps, *recipe.final)
            self._flows[id(recipe)] = {
                step.name: step_flow(step, self.sources, recipe.fixtures) for step in steps
            }
        return self._flows[id(recipe)]

    def handed_on(self, recipe: Recipe) -> Iterator[StepFlow]:
        """Return the steps of the recipes that one needs, and of those that these need."""
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
        """The keys that sources of the project write, each with the file; tests write no key."""
        found: dict[str, str] = {}
        for path in project_files(self.sources.root, ".py"):
            name = "" if _TESTS.fullmatch(path.name) else self.sources.shown(path)
            try:
                text = files.text(path, errors="replace")
            except OSError:
                continue
            for _, key in _IN_SOURCE.findall(text):
                if found.get(key) != "":
                    found[key] = name
        return found


class _Check:
    """Checks one recipe."""

    def __init__(self, recipe: Recipe, about: Dataflow) -> None:
        self._recipe = recipe
        self._about = about
        self._steps = {step.name: step for step in (*recipe.steps, *recipe.final)}
        self._flows = about.flows(recipe)
        around = [*about.handed_on(recipe), *self._fixtures()]
        self._is_open = any(flow.is_open for flow in around)
        self._open = {name for name, flow in self._flows.items() if flow.is_open}
        self._writes: dict[str, list[tuple[str, Write]]] = {}
        for name, flow in (*self._flows.items(), *((_AROUND, flow) for flow in around)):
            for write in (*flow.writes, *flow.promises):
                self._writes.setdefault(_bucket(write.key), []).append((name, write))

    def findings(self) -> Iterator[Finding]:
        """Return what is wrong."""
        if not self._is_open:
            wanted: dict[tuple[str, str, Place], tuple[Step, Wanted]] = {}
            for step in self._steps.values():
                for want in self._flows[step.name].wants:
                    # What a use asks for is asked for by all of its steps, first by the first.
                    who = want.use.name if want.use else step.name
                    wanted.setdefault((who, want.key, want.place), (step, want))
            found = (self._wanted(who, *each) for (who, _, _), each in wanted.items())
            yield from (one for one in found if one)
        yield from self._races()

    def _fixtures(self) -> Iterator[StepFlow]:
        """Return what fixtures may write: those of the folders above, and those that are named."""
        named = {name for step in self._steps.values() for name in step.fixtures}
        named |= {*self._recipe.fixtures}
        for folder, module in self._about.sources.conftests.items():
            if self._recipe.path.is_relative_to(folder):
                flow = flow_of_all(module)
                writes = tuple(Write(key, how, Place(1, 1)) for key, how in flow.writes)
                yield StepFlow((), writes, (), is_open=flow.is_open, is_dark=False)
                named -= module.names.keys()
        if named:
            yield UNSEEN

    def _wanted(self, who: str, step: Step, want: Wanted) -> Finding | None:
        own = self._flows[step.name]
        has_run = want.is_late or not want.is_sure
        if (has_run and own.is_open) or self._waits_for(step, self._open):
            return None
        is_promise = any(write.place == want.place for write in own.promises)
        if is_promise and own.is_dark:
            return None
        found = self._meeting(want.key)
        writers = {name for name, write in found if name != step.name}
        is_own = any(name == step.name and write.how for name, write in found)
        if _AROUND in writers or (has_run and is_own) or self._waits_for(step, writers):
            return None
        severity: Severity = "error" if want.is_sure else "warning"
        head, hint = f"step '{who}' {want.told}", ""
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
        if want.use is not None:  # that stands where the file is used
            step = msgspec.structs.replace(step, part=want.use.outer)
        return finding(self._recipe, step, severity, want.place, head, hint)

    def _unwritten(self, want: Wanted) -> str | None:
        """Return the cure for a key that nothing writes; None where a test may have written it."""
        file = self._about.writers.get(want.key)
        if file is not None:
            return f"{file} does, and no step of this recipe calls it" if file else None
        told = (write for writes in self._writes.values() for _, write in writes)
        keys = dict.fromkeys(write.key for write in told if write.place != want.place)
        return nearest(want.key, [key for key in keys if ANY not in key])

    def _meeting(self, key: str) -> list[tuple[str, Write]]:
        near = (*self._writes.get(_bucket(key), ()), *self._writes.get(ANY, ()))
        return [(name, write) for name, write in near if write.meets(key)]

    def _waits_for(self, step: Step, names: set[str]) -> bool:
        """Tell whether a step begins only when one of some others has ended."""
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
        """Return the keys that two steps write in whatever order they come to it."""
        writers: dict[str, dict[str, Write]] = {}
        for step in self._recipe.steps:
            for write in self._flows[step.name].writes:
                if ANY not in write.key:
                    writers.setdefault(write.key, {})[step.name] = write
        for key, found in writers.items():
            for one, other in pairwise(found):
                step = self._steps[other]
                if "set" in (found[one].how, found[other].how) and self._may_meet(one, step):
                    head = f"steps '{one}' and '{other}' both write '{key}', and may run at the "
                    place, hint = found[other].place, f"after: [{one}]"
                    yield finding(self._recipe, step, "warning", place, f"{head}same time", hint)

    def _may_meet(self, name: str, other: Step) -> bool:
        one = self._steps[name]
        apart = {*one.locks} & {*other.locks} or (_is_asked(one) and _is_asked(other))
        return not apart and not self._waits_for(other, {name})


def _is_asked(step: Step) -> bool:
    """Tell whether a step runs only where an expression is true."""
    return step.if_ is not None or (step.part is not None and step.part.condition is not None)


def _bucket(key: str) -> str:
    """Return the first part of a key, by which those that may meet are found."""
    first = key.partition(".")[0]
    return ANY if ANY in first else first
