"""Page model of `report.html`: recipes and figures in the order of the page."""

import itertools
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from pytest_orchestrator.core.events import TestReported
from pytest_orchestrator.reports.critical_path import CriticalPath, critical_path
from pytest_orchestrator.reports.graph.picture import MOST, boxes, chosen
from pytest_orchestrator.reports.html.budget import Files, room
from pytest_orchestrator.reports.html.context_view import ContextView
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.html.timeline import Timeline, timeline
from pytest_orchestrator.reports.text import cut, look, sign, told
from pytest_orchestrator.reports.trends import curves
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import seconds, verdict, verdict_of

_META: Final = ("test_id", "dut", "station", "operator", "batch", "tester")
_MOST_TESTS: Final = 2_000
_MOST_FILES: Final = 20
_MOST_STEPS: Final = 5_000
"""Steps that are listed and drawn in timelines: a page of more opens at once no longer."""
_ELSEWHERE: Final = "steps"
"""Where links to steps lead that are not listed: the head of the list."""


class RecipeView(NamedTuple):
    """A recipe for the templates."""

    recipe: RecipeRecord
    verdict: str
    sign: str
    look: str
    steps: list[StepView]
    timeline: Timeline | None
    critical: CriticalPath | None
    graph: dict[str, Any]
    left_out: int
    anchors: dict[str, str]


class Page:
    """A run for the templates.

    Args:
        run: The run.
        folder: Its folder.
        base: What links to files in it begin with; empty for a page that stands in it.
        trends: What is known of runs before it, for curves.
    """

    def __init__(
        self, run: RunRecord, folder: Path, base: str, trends: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self.run = run
        self.trends = list(trends)
        self.verdict = verdict(run)
        steps = run.steps
        failed = sum(look(step.state) == "failed" for step in steps)
        values = sum(_values(step.block or {}) for step in steps)
        self.room = room(len(steps), failed, len(run.changes.keys()), values)
        self._files = Files(folder, base)
        self._order = itertools.count(1)
        ranked = sorted(steps, key=lambda step: look(step.state) == "passed")
        self._listed = {id(step) for step in ranked[:_MOST_STEPS]}
        self._bars = _MOST_STEPS
        self.recipes = [
            self._recipe(number, recipe) for number, recipe in enumerate(run.recipes.values())
        ]

    @property
    def sign(self) -> str:
        """The sign of the verdict."""
        return sign(self.verdict)

    @property
    def look(self) -> str:
        """The look of the verdict."""
        return look(self.verdict)

    @property
    def seconds(self) -> float:
        """How long the run took."""
        return seconds(self.run)

    @cached_property
    def steps(self) -> list[StepView]:
        """All steps of all recipes."""
        return [step for recipe in self.recipes for step in recipe.steps]

    @cached_property
    def listed(self) -> list[list[StepView]]:
        """The steps of each recipe that are listed: where they are too many, the bad ones first."""
        return [[step for step in one.steps if step.anchor != _ELSEWHERE] for one in self.recipes]

    @property
    def unlisted(self) -> int:
        """Number of the steps that are not listed."""
        return len(self.steps) - sum(map(len, self.listed))

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of steps by their state, the bad ones first."""
        found = Counter(step.state for step in self.steps)
        order = {one: place for place, one in enumerate(("failed", "error", "interrupted"))}
        return dict(sorted(found.items(), key=lambda one: order.get(one[0], 9)))

    @property
    def tags(self) -> list[str]:
        """All tags of steps."""
        return sorted({tag for step in self.steps for tag in step.tags})

    @property
    def first_failure(self) -> StepView | None:
        """The step of which it was known first that it failed."""
        bad = [step for step in self.steps if step.state in ("failed", "error")]
        return min(bad, key=lambda one: one.step.lines[1] or 1 << 60, default=None)

    @property
    def interrupted(self) -> list[StepView]:
        """The steps that were running when the run ended."""
        return [step for step in self.steps if step.state == "interrupted"]

    @property
    def not_run(self) -> int:
        """Number of the selected steps that did not run."""
        return sum(step.state == "not run" for step in self.steps)

    @property
    def uncollected(self) -> list[dict[str, Any]]:
        """Files that could not be collected, the first of them."""
        return [
            {"path": cut(one.path, 300), "text": cut(one.text.strip("\n"), 6_000)}
            for one in self.run.uncollected[:_MOST_FILES]
        ]

    @property
    def tests(self) -> list[TestReported]:
        """Tests written by hand, those that failed first."""
        found = [test for test in self.run.tests.values() if test.step is None]
        return sorted(found, key=lambda one: one.outcome not in ("failed", "error"))[:_MOST_TESTS]

    @property
    def meta(self) -> dict[str, str]:
        """What recipes say of whom and what they test."""
        found: dict[str, dict[str, None]] = {}
        for recipe in self.run.recipes.values():
            for name in _META:
                value = (recipe.about.get("test_meta") or {}).get(name)
                if value is not None:
                    shown = " ".join(map(str, value.values())) if isinstance(value, dict) else value
                    found.setdefault(name, {})[cut(str(shown), 120)] = None
        return {name: ", ".join([*values][:5]) for name, values in found.items()}

    @property
    def command(self) -> str:
        """The command of the session."""
        argv = self.run.started.argv if self.run.started else ()
        return cut(shlex.join(["pytest", *argv]), 2_000)

    @property
    def environment(self) -> dict[str, str]:
        """What it ran in."""
        found = self.run.started.environment if self.run.started else {}
        return {cut(name, 80): told(value, 2_000) for name, value in found.items()}

    @property
    def revision(self) -> str:
        """The revision of the project."""
        found = (self.run.started.environment if self.run.started else {}).get("git")
        if isinstance(found, dict):
            commit = str(found.get("revision", ""))[:12]
            branch = f" ({found['branch']})" if found.get("branch") else ""
            return cut(f"{commit}{branch}{' with changes' * bool(found.get('dirty'))}", 120)
        return cut(str(found), 120) if found else ""

    @cached_property
    def contexts(self) -> list[ContextView]:
        """The Contexts of the run that have keys."""
        anchors = {
            str(step.about["node"]): step.anchor for step in self.steps if "node" in step.about
        }
        found = [
            ContextView(self.run.changes, scope, anchors, self.room)
            for scope in self.run.changes.scopes
        ]
        return [one for one in found if one.branches]

    @cached_property
    def curves(self) -> dict[str, dict[str, Any]]:
        """The curves of the steps by their anchors."""
        found = {}
        for step in itertools.chain.from_iterable(self.listed):
            path = step.samples
            drawn = curves(path, self.room.points) if path else None
            if drawn is not None:
                found[step.anchor] = drawn._asdict()
        return found

    def _recipe(self, number: int, recipe: RecipeRecord) -> RecipeView:
        cell = f"[{recipe.about['cell']}]" if recipe.about.get("cell") else ""
        name = cut(f"{recipe.about.get('name') or recipe.key}{cell}", 200)
        steps = [
            StepView(
                f"s{number}-{place}" if id(step) in self._listed else _ELSEWHERE,
                next(self._order),
                step,
                name,
                self._files,
                self.room,
            )
            for place, step in enumerate(recipe.steps.values(), 1)
        ]
        blocks = [step.block for step in steps if step.block]
        drawn = [
            step.about | {"state": step.state, "href": f"#{step.anchor}", **_seconds(step)}
            for step in steps
        ]
        few = chosen(drawn, MOST)
        self._bars -= len(steps)
        word = verdict_of(recipe)
        return RecipeView(
            recipe,
            word,
            sign(word),
            look(word),
            steps,
            timeline(recipe, self.run.last) if self._bars >= 0 else None,
            critical_path(blocks),
            boxes(few),
            len(drawn) - len(few),
            {step.name: step.anchor for step in steps},
        )


def _seconds(step: StepView) -> dict[str, Any]:
    return {"seconds": step.used["seconds"]} if "seconds" in step.used else {}


def _values(block: Mapping[str, Any]) -> int:
    """Count the values that are shown of a step."""
    writes = block.get("context", {}).get("writes", ())
    return sum(map(len, (block.get("criteria", ()), block.get("measurements", ()), writes)))
