"""Page model of `report.html`: the values that its templates show."""

import itertools
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.core.events import TestReported
from pytest_orchestrator.reports.critical_path import CriticalPath, critical_path
from pytest_orchestrator.reports.graph.nodes import MOST
from pytest_orchestrator.reports.graph.nodes import graph as graph_of
from pytest_orchestrator.reports.graph.picture import boxes, legend_of, narrow_boxes
from pytest_orchestrator.reports.html.budget import Files, content_budget
from pytest_orchestrator.reports.html.context_view import ContextView
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.html.timeline import Timeline, timeline
from pytest_orchestrator.reports.states import Legend
from pytest_orchestrator.reports.states import legend as legend_for
from pytest_orchestrator.reports.text import cut, json_text, look, sign
from pytest_orchestrator.reports.trends import curves
from pytest_orchestrator.runs.block import Block, measurements_of
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord
from pytest_orchestrator.runs.summary import interruption, seconds, verdict, verdict_of

if TYPE_CHECKING:
    from pytest_orchestrator.reports.html.cell_view import MatrixView
    from pytest_orchestrator.reports.instruments import InstrumentView

_META: Final = {
    "test_id": "Test ID",
    "dut": "Unit under test (DUT)",
    "station": "Station",
    "operator": "Operator",
    "batch": "Batch",
    "tester": "Tester",
}
_MOST_TESTS: Final = 2_000
_MOST_FILES: Final = 20
_MOST_STEPS: Final = 5_000
"""Maximum number of steps that are listed and drawn in timelines, so that the page opens fast."""
_LIST_HEAD: Final = "steps"
"""Anchor of the head of the list, to which links to unlisted steps lead."""


class RecipeView(msgspec.Struct, frozen=True):
    """View of a recipe for the templates."""

    recipe: RecipeRecord
    verdict: str
    sign: str
    look: str
    steps: list[StepView]
    timeline: Timeline | None
    critical: CriticalPath | None
    graph: dict[str, Any]
    narrow_graph: dict[str, Any] | None
    legend: Legend
    left_out: int
    anchors: dict[str, str]


class Page:
    """View of a run for the templates.

    Args:
        run: The run.
        folder: Its folder.
        base: Prefix of links to files in it; empty for a page in that folder.
        trends: Histories of figures over earlier runs, for charts.
    """

    def __init__(
        self, run: RunRecord, folder: Path, base: str, trends: Iterable[Mapping[str, Any]] = ()
    ) -> None:
        self.run = run
        self.trends = list(trends)
        self.verdict = verdict(run)
        steps = run.steps
        failed = sum(look(step.state) == "failed" for step in steps)
        values = sum(_values(block) for step in steps if (block := step.block))
        self.budget = content_budget(len(steps), failed, len(run.changes.keys()), values)
        self._files = Files(folder, base)
        self._order = itertools.count(1)
        listed = steps
        if len(steps) > _MOST_STEPS:
            ranked = sorted(steps, key=lambda step: look(step.state) == "passed")
            listed = ranked[:_MOST_STEPS]
        self._listed = set(map(id, listed))
        self._drawable = _MOST_STEPS
        self.recipes = [
            self._recipe(number, recipe) for number, recipe in enumerate(run.recipes.values())
        ]

    @property
    def sign(self) -> str:
        """Sign of the verdict."""
        return sign(self.verdict)

    @property
    def cause(self) -> str:
        """Why the run was interrupted; empty if it was not, or the cause is not known."""
        return cut(interruption(self.run), 200) if self.verdict == "interrupted" else ""

    @property
    def look(self) -> str:
        """Style of the verdict."""
        return look(self.verdict)

    @property
    def seconds(self) -> float:
        """Duration of the run in seconds."""
        return seconds(self.run)

    @cached_property
    def steps(self) -> list[StepView]:
        """All steps of all recipes."""
        return [step for recipe in self.recipes for step in recipe.steps]

    @cached_property
    def matrices(self) -> "list[MatrixView]":
        """Measurements of steps in the cells of a matrix."""
        if not any("matrix" in one.recipe.about for one in self.recipes) and not any(
            "matrix" in step.about for step in self.steps
        ):
            return []
        from pytest_orchestrator.reports.html.cell_view import matrices

        return matrices(((one.recipe, one.steps) for one in self.recipes), self.budget.value)

    @cached_property
    def listed(self) -> list[list[StepView]]:
        """Steps of each recipe that the page lists; if not all fit, passed ones are left out."""
        return [
            [step for step in recipe.steps if step.anchor != _LIST_HEAD] for recipe in self.recipes
        ]

    @property
    def unlisted(self) -> int:
        """Number of steps that are not listed."""
        return len(self.steps) - sum(map(len, self.listed))

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of steps by state, failures first."""
        counts = Counter(step.state for step in self.steps)
        order = {state: place for place, state in enumerate(("failed", "error", "interrupted"))}
        return dict(sorted(counts.items(), key=lambda item: order.get(item[0], 9)))

    @property
    def marginal(self) -> int:
        """Number of measurements that pass but are near a limit."""
        return sum(step.marginal for step in self.steps)

    @property
    def tags(self) -> list[str]:
        """All tags of steps."""
        return sorted({tag for step in self.steps for tag in step.tags})

    @property
    def legend(self) -> Legend:
        """The legend of all graphs of the page."""
        drawn = [recipe.legend for recipe in self.recipes]
        return legend_for(
            (word for one in drawn for word in one.states),
            (mark for one in drawn for mark in one.marks),
        )

    @property
    def first_failure(self) -> StepView | None:
        """The failed step that ended first; None if no step failed."""
        failed = [step for step in self.steps if step.state in ("failed", "error")]
        return min(failed, key=lambda view: view.step.lines[1] or 1 << 60, default=None)

    @cached_property
    def interrupted(self) -> list[StepView]:
        """The steps that were running when the run ended."""
        return [step for step in self.steps if step.state == "interrupted"]

    @property
    def not_run(self) -> int:
        """Number of selected steps that did not run."""
        return sum(step.state == "not run" for step in self.steps)

    @property
    def uncollected(self) -> list[dict[str, Any]]:
        """The first files that pytest could not collect."""
        return [
            {
                "path": cut(file.path, 300),
                "text": cut(file.text.strip("\n"), 6_000),
                "is_recipe": file.path.endswith((".yaml", ".yml")),
            }
            for file in self.run.uncollected[:_MOST_FILES]
        ]

    @cached_property
    def tests(self) -> list[TestReported]:
        """Reports of ordinary tests, which are not steps; failed ones first."""
        tests = [test for test in self.run.tests.values() if test.step is None]
        return sorted(tests, key=lambda test: test.outcome not in ("failed", "error"))[:_MOST_TESTS]

    @property
    def meta(self) -> dict[str, str]:
        """Values of `test_meta` of all recipes, by label."""
        labelled: dict[str, dict[str, None]] = {}
        for recipe in self.run.recipes.values():
            for name, label in _META.items():
                value = (recipe.about.get("test_meta") or {}).get(name)
                if value is not None:
                    shown = " ".join(map(str, value.values())) if isinstance(value, dict) else value
                    labelled.setdefault(label, {})[cut(str(shown), 120)] = None
        return {label: ", ".join([*values][:5]) for label, values in labelled.items()}

    @property
    def command(self) -> str:
        """Command line of the session."""
        argv = self.run.started.argv if self.run.started else ()
        return cut(shlex.join(["pytest", *argv]), 2_000)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the run."""
        environment = self.run.started.environment if self.run.started else {}
        return {cut(name, 80): json_text(value, 2_000) for name, value in environment.items()}

    @property
    def instruments(self) -> "list[InstrumentView]":
        """The instruments that the run has used."""
        if not self.run.opened:
            return []
        from pytest_orchestrator.reports.instruments import instruments_of

        return instruments_of(self.run)

    @property
    def revision(self) -> str:
        """Revision of the project."""
        git = (self.run.started.environment if self.run.started else {}).get("git")
        if isinstance(git, dict):
            commit = str(git.get("revision", ""))[:12]
            branch = f" ({git['branch']})" if git.get("branch") else ""
            return cut(f"{commit}{branch}{' with changes' * bool(git.get('dirty'))}", 120)
        return cut(str(git), 120) if git else ""

    @cached_property
    def contexts(self) -> list[ContextView]:
        """The Contexts of the run that have keys."""
        anchors = {
            str(step.about["node"]): step.anchor for step in self.steps if "node" in step.about
        }
        views = [
            ContextView(self.run.changes, scope, anchors, self.budget)
            for scope in self.run.changes.scopes
        ]
        return [view for view in views if view.branches]

    @cached_property
    def curves(self) -> dict[str, dict[str, Any]]:
        """Resource curves of the steps by anchor."""
        by_anchor = {}
        for step in itertools.chain.from_iterable(self.listed):
            path = step.samples
            drawn = curves(path, self.budget.points) if path else None
            if drawn is not None:
                by_anchor[step.anchor] = msgspec.structs.asdict(drawn)
        return by_anchor

    def _recipe(self, number: int, recipe: RecipeRecord) -> RecipeView:
        cell = f"[{recipe.about['cell']}]" if recipe.about.get("cell") else ""
        name = cut(f"{recipe.about.get('name') or recipe.key}{cell}", 200)
        steps = [
            StepView(
                f"s{number}-{place}" if id(step) in self._listed else _LIST_HEAD,
                next(self._order),
                step,
                name,
                self._files,
                self.budget,
            )
            for place, step in enumerate(recipe.steps.values(), 1)
        ]
        blocks = [step.block for step in steps if step.block]
        drawn = [
            {
                **step.about,
                "state": step.state,
                "href": f"#{step.anchor}",
                "seconds": step.used.get("seconds"),
            }
            for step in steps
        ]
        picture = graph_of(drawn, most=MOST)
        self._drawable -= len(steps)
        recipe_verdict = verdict_of(recipe)
        return RecipeView(
            recipe,
            recipe_verdict,
            sign(recipe_verdict),
            look(recipe_verdict),
            steps,
            timeline(recipe, self.run.last) if self._drawable >= 0 else None,
            critical_path(blocks),
            boxes(picture),
            narrow_boxes(picture),
            legend_of(picture),
            sum(picture.left_out.values()),
            {step.name: step.anchor for step in steps},
        )


def _values(block: Block) -> int:
    """Return the number of values of a step that the page shows."""
    count = len(block.criteria) + len(block.context.writes)
    if block.measurements or block.elements:
        count += len(measurements_of(block)) + len(block.elements or ())
    return count
