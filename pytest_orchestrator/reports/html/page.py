"""Page model of `report.html`: the values that its templates show."""

import itertools
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from pytest_orchestrator.core.events import InstrumentSafe, TestReported, epoch_seconds
from pytest_orchestrator.reports import quantities
from pytest_orchestrator.reports.critical_path import CriticalPath, critical_path
from pytest_orchestrator.reports.graph.nodes import MOST
from pytest_orchestrator.reports.graph.nodes import graph as graph_of
from pytest_orchestrator.reports.graph.picture import boxes, legend_of, narrow_boxes
from pytest_orchestrator.reports.head.meta import (
    LABELS,
    Row,
    labelled_meta,
    meta_rows,
    meta_text,
    unit_text,
)
from pytest_orchestrator.reports.html.budget import (
    ContentBudget,
    Files,
    anchor_of,
    content_budget,
)
from pytest_orchestrator.reports.html.context_view import ContextView
from pytest_orchestrator.reports.html.step_view import MOST_LISTED, StepView
from pytest_orchestrator.reports.html.timeline import Timeline, timeline_of
from pytest_orchestrator.reports.html.trends import Earlier, trends
from pytest_orchestrator.reports.states import Legend
from pytest_orchestrator.reports.states import legend as legend_for
from pytest_orchestrator.reports.text import cut, json_text, look, sign
from pytest_orchestrator.runs.block import Block, measurements_of
from pytest_orchestrator.runs.folder import RunFile
from pytest_orchestrator.runs.pending_finally import rest_of
from pytest_orchestrator.runs.record import RecipeRecord, RunRecord, StepRecord
from pytest_orchestrator.runs.summary import (
    interruption,
    seconds,
    simulated_in,
    verdict,
    verdict_of,
)
from pytest_orchestrator.runs.units import by_unit
from pytest_orchestrator.runs.verdicts import NOT_GOOD, NOTABLE, Word, counts, rank

if TYPE_CHECKING:
    from pytest_orchestrator.reports.html.cell_view import MatrixView
    from pytest_orchestrator.reports.instruments import InstrumentView

_NAME: Final = "report.html"
_SOURCES: Final = "sources"
"""Folder of the texts of recipes in the folder of a run."""
_MOST_TESTS: Final = 2_000
_MOST_FILES: Final = 20
_MOST_STEPS: Final = 5_000
"""Maximum number of steps that are listed and drawn in timelines, so that the page opens fast."""
_LARGE: Final = 1_000
ROWS: Final = "<!--rows-->\n"
"""Place of rows that are written later; no value has it, because a template escapes its `<`."""
_LIST_HEAD: Final = "steps"
"""Anchor of the head of the list, to which links to unlisted steps lead."""


class RecipeView(msgspec.Struct, frozen=True):
    """View of a recipe for the templates."""

    recipe: RecipeRecord
    verdict: Word
    sign: str
    look: str
    steps: list[StepView]
    count: int
    timeline: Timeline | None
    critical: CriticalPath | None
    graph: dict[str, Any]
    narrow_graph: dict[str, Any] | None
    legend: Legend
    left_out: int
    anchors: dict[str, str]
    anchor: str
    source: str

    @property
    def path(self) -> str:
        """Path of the file of the recipe."""
        return self.recipe.path

    @property
    def is_cell(self) -> bool:
        """True if the recipe is a cell of a matrix."""
        return bool(self.recipe.about.get("cell"))

    @property
    def cell(self) -> str:
        """The cell of its matrix; empty without one."""
        return cut(str(self.recipe.about.get("cell") or ""), 200)

    @property
    def unit(self) -> str:
        """The unit of a panel; empty for a whole recipe."""
        return str(self.recipe.about.get("unit") or "")

    @property
    def by_unit(self) -> "list[RecipeView]":
        """The views of its units that were tested; without units the view itself."""
        parts = [*by_unit([self.recipe])]
        if parts == [self.recipe]:
            return [self]
        return [
            msgspec.structs.replace(
                self,
                recipe=part,
                verdict=(word := verdict_of(part)),
                sign=sign(word),
                look=look(word),
                steps=[one for one in self.steps if one.step.name in part.steps],
            )
            for part in parts
        ]

    @property
    def name(self) -> str:
        """Name of the recipe, without its cell."""
        return cut(self.recipe.name, 200)

    @property
    def title(self) -> str:
        """Name of the recipe, with the cell of its matrix."""
        return f"{self.name} [{self.cell}]" if self.is_cell else self.name

    @property
    def rank(self) -> int:
        """Its place in lists: recipes that did not pass come first."""
        return NOTABLE.index(self.verdict) if self.verdict in NOTABLE else len(NOTABLE)

    @property
    def has_matrix(self) -> bool:
        """True if the recipe is a cell of a matrix, or a step of it has a matrix."""
        return "matrix" in self.recipe.about or self.has_step_matrix

    @property
    def has_step_matrix(self) -> bool:
        """True if a step of the recipe has a matrix."""
        return any("matrix" in step.about for step in self.steps)

    @property
    def began(self) -> float:
        """Start of its first step, in seconds since the epoch; 0 if none ran."""
        return self.timeline.began if self.timeline else 0.0

    @property
    def duration(self) -> str:
        """Time from its first start to its last end; a dash if it did not run."""
        return quantities.duration(self.timeline.seconds) if self.timeline else "-"

    @property
    def meta(self) -> list[Row]:
        """All of its `test_meta`."""
        return meta_rows(self.recipe.test_meta)

    @property
    def dut(self) -> str:
        """Its unit under test; empty if it names none."""
        return meta_text(self.recipe, "dut")

    @property
    def test_id(self) -> str:
        """Its test id; empty without one."""
        return meta_text(self.recipe, "test_id")


def anchor_of_step(step: StepRecord) -> str:
    """Return the anchor of a step on the page: its node id."""
    return anchor_of(step.about.get("node") or f"{step.recipe}::{step.name}")


def first_of(steps: Iterable[StepView]) -> StepView | None:
    """Return the failed or interrupted step that ended first; None if there is none."""
    bad = [step for step in steps if step.state in NOT_GOOD]
    return min(
        bad,
        key=lambda one: (one.state == "interrupted", one.step.lines[1] or 1 << 60),
        default=None,
    )


class Page:
    """View of a run for the templates.

    Attributes:
        rest: What a run that ended early has left.
        counts: Number of steps by word.
        sampled: Number of sampled values by word.
        sorts: Links that sort the list of steps, by column; empty if a script sorts it.
        is_sorted: True if the steps are in another order than that of their recipes.
        later: Receives the rows of each recipe, for which the text has `ROWS`; None for all text.

    Args:
        run: The run.
        folder: Its folder.
        base: Prefix of links to files in it; empty for a page in that folder.
        earlier: The earlier runs of its recipes; None without.
        chosen: The only steps that the sections of the page show, in their order; None for all.
    """

    sorts: Mapping[str, Any] = {}
    is_sorted = False
    later: list[Iterator[str]] | None = None

    def __init__(
        self,
        run: RunRecord,
        folder: Path,
        base: str,
        earlier: Earlier | None = None,
        chosen: Sequence[StepRecord] | None = None,
    ) -> None:
        self.run, self.folder, self.base = run, folder, base
        self.earlier: Earlier = earlier or {}
        self.rest = rest_of(run)
        steps = run.steps
        self.counts, self.sampled = counts(steps), counts(steps, sampled=True)
        self.budget = self._content_budget(steps)
        self.files = Files(folder, base)
        self._order = itertools.count(1)
        self._chosen = None if chosen is None else set(map(id, chosen))
        listed = steps if chosen is None else chosen
        if len(listed) > _MOST_STEPS:
            ranked = sorted(listed, key=lambda step: look(step.state) == "passed")
            listed = ranked[:_MOST_STEPS]
        self._listed = set(map(id, listed))
        self._drawable = _MOST_STEPS
        recipes = [self._recipe(recipe) for recipe in run.recipes.values()]
        verdicts = [one.verdict for one in recipes]
        self.verdict = verdict(run, verdicts)
        self.recipes = recipes if chosen is None else [one for one in recipes if one.steps]

    def _content_budget(self, steps: Sequence[StepRecord]) -> ContentBudget:
        failed = sum(step.state in NOT_GOOD for step in steps)
        values = sum(_values(block) for step in steps if (block := step.block))
        again = sum(min(max(0, step.attempt - 1), MOST_LISTED) for step in steps)
        keys = len(self.run.changes.keys())
        return content_budget(len(steps) + again, failed, keys, values)

    def view(self, step: StepRecord, recipe: str, anchor: str) -> StepView:
        """Return the view of a step.

        Args:
            step: The step.
            recipe: Name of its recipe.
            anchor: Its anchor on the page.
        """
        return StepView(anchor, next(self._order), step, recipe, self.files, self.budget)

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
        """Duration of the run in seconds; of a killed run the time until its last known output."""
        ends = [seconds(self.run)]
        if self.is_cut_off:
            first = epoch_seconds(self.run.first) if self.run.first else 0.0
            ends += [
                epoch_seconds(step.step.started) + step.last_output - first
                for step in self.interrupted
                if step.step.started
            ]
        return max(ends)

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

    def rows(self, item: Callable[..., str], number: int, *more: object) -> str:
        """Return the listed steps of a recipe by the macro `item`, or `ROWS` for later ones."""
        made = (f"{item(step, number, *more)}\n" for step in self.listed[number])
        if self.later is None:
            return "".join(made)
        self.later.append(made)
        return ROWS

    @property
    def is_large(self) -> bool:
        """True if the page opens faster when the browser does not build all details of steps."""
        return sum(map(len, self.listed)) > _LARGE

    @property
    def unlisted(self) -> int:
        """Number of steps that are not listed."""
        return len(self.steps) - sum(map(len, self.listed))

    @property
    def listed_words(self) -> dict[str, int]:
        """Number of rows of the list by word: steps, sampled values, and what was not selected."""
        return Counter(sorted((step.state for step in self.steps), key=rank))

    @property
    def is_cut_off(self) -> bool:
        """True if the run ended after the last event, at an unknown time."""
        return self.run.finished is None and self.run.state != "running"

    @property
    def has_failures(self) -> bool:
        """True if a step or another test failed."""
        return self.first_failure is not None or any(
            self.test_counts.get(state) for state in ("failed", "error")
        )

    @property
    def first_dut(self) -> str:
        """Unit under test of the recipe of the first failure; empty if the head names it."""
        recipes, first = self.run.recipes, self.first_failure
        is_one = len({meta_text(recipe, "dut") for recipe in recipes.values()}) < 2
        return "" if first is None or is_one else meta_text(recipes[first.step.recipe], "dut")

    @property
    def number_of_tests(self) -> int:
        """Number of ordinary tests."""
        return sum(self.test_counts.values())

    @cached_property
    def test_counts(self) -> dict[str, int]:
        """Number of ordinary tests by outcome, failures first."""
        outcomes = [test.outcome for test in self.run.tests.values() if test.step is None]
        return Counter(sorted(outcomes, key=rank))

    @property
    def marginal(self) -> int:
        """Number of measurements that pass but are near a limit."""
        return sum(step.marginal for step in self.steps)

    @property
    def titles(self) -> list[str]:
        """Names of the recipes with their cells."""
        return [recipe.title for recipe in self.recipes]

    @cached_property
    def trends(self) -> list[dict[str, Any]]:
        """Histories of figures; see `reports.html.trends.trends`."""
        return trends(self.run, self.earlier)

    @property
    def trends_note(self) -> str:
        """Remark on figures whose history is not shown; empty if all are shown."""
        shown = len(self.trends)
        total: int = self.trends[0].get("total", 0) if self.trends else 0
        return f"{shown} of {total} figures shown" if total > shown else ""

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

    def page_of(self, run: str) -> str:
        """Return a link to the page of another run by its id; empty if it has none."""
        is_there = (self.folder.parent / run / _NAME).is_file()
        return f"{self.base}../{run}/{_NAME}" if is_there else ""

    @cached_property
    def first_failure(self) -> StepView | None:
        """The failed step that ended first; None if no step failed."""
        first = first_of(self.steps)
        return first if first and first.state != "interrupted" else None

    @cached_property
    def interrupted(self) -> list[StepView]:
        """The steps that were running when the run ended."""
        return [step for step in self.steps if step.state == "interrupted"]

    @cached_property
    def not_run(self) -> list[StepView]:
        """The selected steps that did not run."""
        return [step for step in self.steps if step.state == "not run"]

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
    def recipe_files(self) -> int:
        """Number of the files of the recipes; the cells of a matrix have one."""
        return len({recipe.path for recipe in self.run.recipes.values()})

    @property
    def until(self) -> str:
        """Time in ISO 8601 at which the bars of unfinished steps end."""
        return self.run.last

    @property
    def meta(self) -> dict[str, str]:
        """Other values of `test_meta` than the unit under test, by label; of many their number."""
        labelled = labelled_meta(self.run.recipes.values())
        labelled.pop(LABELS["dut"], None)
        return labelled

    @cached_property
    def unit(self) -> tuple[str, str]:
        """Serial number of the unit under test, and the rest of its description; may be empty."""
        return unit_text(by_unit(self.run.recipes.values()))

    @property
    def command(self) -> str:
        """Command line of the session."""
        argv = self.run.started.argv if self.run.started else ()
        return cut(shlex.join(["pytest", *argv]), 2_000)

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the run."""
        environment = self.run.started.environment if self.run.started else {}
        texts = {cut(name, 80): _plain_text(value, 2_000) for name, value in environment.items()}
        return texts | ({"git": self.revision} if self.revision else {})

    @property
    def digests(self) -> dict[str, dict[str, str]]:
        """SHA-256 of the files of the steps, by path, for each file of a recipe."""
        found: dict[str, dict[str, str]] = {}
        for recipe in self.run.recipes.values():
            if recipe.about.get("sha256") or recipe.digests:
                path = cut(recipe.path, 300)
                files = found.setdefault(path, {path: str(recipe.about.get("sha256", ""))})
                files |= {cut(name, 300): digest for name, digest in recipe.digests.items()}
        return found

    @property
    def instruments(self) -> "list[InstrumentView]":
        """The instruments that the run has used."""
        if not self.run.opened:
            return []
        from pytest_orchestrator.reports.instruments import instruments_of

        return instruments_of(self.run)

    @property
    def simulated(self) -> str:
        """Names of the simulated instruments; empty without any."""
        return cut(", ".join(simulated_in(self.run.opened)), 200)

    @property
    def unsafe(self) -> list[tuple[str, InstrumentSafe]]:
        """The safe states that were not reached, each after the key of its recipe."""
        return [(one.key, end) for one in self.run.recipes.values() for end in one.unsafe]

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

    def _source(self, recipe: RecipeRecord) -> str:
        """Return a link to the stored text of a recipe; empty if the run has none."""
        path = recipe.about.get("path")
        file = RunFile(f"{_SOURCES}/{str(path).strip('/')}") if path else None
        at = self.files.at(file) if file else None
        return self.files.href(file) if file and at and at.is_file() else ""

    def _recipe(self, recipe: RecipeRecord) -> RecipeView:
        cell = f" [{recipe.about['cell']}]" if recipe.about.get("cell") else ""
        name = cut(f"{recipe.about.get('name') or recipe.key}{cell}", 200)
        steps = [
            self.view(step, name, anchor_of_step(step) if id(step) in self._listed else _LIST_HEAD)
            for step in recipe.steps.values()
            if self._chosen is None or id(step) in self._chosen
        ]
        anchors = {step.name: step.anchor for step in steps}
        for step in steps:
            if step.state == "xfailed":
                reported = self.run.tests.get(str(step.about.get("node")))
                step.xfail = reported.reason if reported else ""
            elif step.state == "blocked":
                step.blocker = anchors.get(_blocked_by(step), "")
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
        wide = boxes(picture)
        self._drawable -= len(steps)
        recipe_verdict = verdict_of(recipe)
        return RecipeView(
            recipe,
            recipe_verdict,
            sign(recipe_verdict),
            look(recipe_verdict),
            steps,
            counts(recipe.steps.values()).total(),
            timeline_of((step.step for step in steps), self.until) if self._drawable >= 0 else None,
            critical_path(blocks),
            wide,
            narrow_boxes(picture, wide),
            legend_of(picture),
            sum(picture.left_out.values()),
            anchors,
            anchor_of(recipe.key),
            self._source(recipe),
        )


def _plain_text(value: Any, most: int) -> str:
    """Return a value as text; of a mapping the names and values without braces and quotes."""
    if isinstance(value, Mapping):
        return cut(", ".join(f"{name} {json_text(one, most)}" for name, one in value.items()), most)
    return json_text(value, most)


def _blocked_by(step: StepView) -> str:
    return str(step.about.get("blocked_by") or "").rpartition("::")[2]


def _values(block: Block) -> int:
    """Return the number of values of a step that the page shows."""
    count = len(block.criteria) + len(block.context.writes)
    if block.measurements or block.elements:
        count += len(measurements_of(block)) + len(block.elements or ())
    return count
