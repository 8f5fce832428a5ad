"""Page of one run: its head, the tabs, the chosen step."""

import time
from types import ModuleType
from typing import Final

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.monitor.address import Address, chosen_recipe, chosen_step
from pytest_orchestrator.monitor.live import STAY
from pytest_orchestrator.monitor.pages import (
    context,
    graph,
    log,
    measurements,
    resources,
    steps,
    tests,
    timeline,
)
from pytest_orchestrator.monitor.pages.head import Head, head, report_url
from pytest_orchestrator.monitor.pages.runs import recipe_url
from pytest_orchestrator.monitor.pages.step import step_view
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.quantities import local_time
from pytest_orchestrator.reports.text import sign
from pytest_orchestrator.runs.compare.estimates import Seconds, StepEstimates
from pytest_orchestrator.runs.record import RecipeRecord
from pytest_orchestrator.runs.summary import verdict_of
from pytest_orchestrator.runs.verdicts import NOTABLE

TABS: Final[dict[str, ModuleType]] = {
    "steps": steps,
    "graph": graph,
    "timeline": timeline,
    "measurements": measurements,
    "context": context,
    "log": log,
    "resources": resources,
    "tests": tests,
}
"""The tabs by the name that URLs have. A tab is a module with `LABEL`, `content`, and a template
of its name. It may have `version`, and `HAS_DRAWER`: False if it shows no panel of the step."""


class RunPage(Struct, frozen=True):
    """Values of the page of a run.

    Attributes:
        title: Title of the window: sign, verdict, recipes.
        look: Style of the verdict, for the icon.
        version: Version of the shown state.
        events: URL of the stream of changes.
        head: The head of the page.
        tabs: Labels of the tabs by name.
        recipes: Key, sign and verdict of each recipe, those that did not pass first.
        recipe: Key of the only recipe that the tab shows; empty if it shows all.
        history: URL of the page of the chosen or only recipe; empty for several.
        drawer: The chosen step; None without one.
        status: Text of the status line.
    """

    title: str
    look: str
    version: str
    events: str
    head: Head
    tabs: dict[str, str]
    recipes: list[tuple[str, str, str]]
    recipe: str
    history: str
    drawer: StepView | None
    status: str


def page(run_cache: RunCache, estimates: StepEstimates, one: Address) -> str:
    """Return the page of a run as HTML.

    Args:
        run_cache: The runs.
        estimates: Estimated durations of steps.
        one: The address of the page.

    Raises:
        NoRun: The run does not exist.
    """
    usual = usual_seconds(run_cache, estimates, one.run)
    tab = TABS[one.tab]

    def draw(view: RunView) -> str:
        shown = _page(view, one, usual)
        return render(f"{one.tab}.html", page=shown, address=one, content=tab.content(view, one))

    return run_cache.read(one.run, draw)


def version(run_cache: RunCache, one: Address) -> tuple[str, bool]:
    """Return the version of a page, and True if the run will not change any more.

    Raises:
        NoRun: The run does not exist.
    """
    return run_cache.read(one.run, lambda view: (_version(view, one), _is_over(view)))


def _is_over(view: RunView) -> bool:
    return view.record.state != "running"


def _is_settled(view: RunView) -> bool:
    """Return True if a run ended some time ago, so that its reports are written."""
    last = view.record.last
    return _is_over(view) and (not last or time.time() - epoch_seconds(last) > STAY)


def _version(view: RunView, one: Address) -> str:
    of_tab = getattr(TABS[one.tab], "version", None)
    more = f".{of_tab(view, one)}" if of_tab else ""
    ended = f"{view.record.state}.{len(view.problem)}.{report_url(view) and 1}"
    return f"{view.version}.{ended}{more}"


def _page(view: RunView, one: Address, usual: Seconds) -> RunPage:
    top = head(view, usual)
    step, recipe = chosen_step(view, one), chosen_recipe(view, one)
    has_drawer = getattr(TABS[one.tab], "HAS_DRAWER", True)
    events = Address(one.run, f"{one.tab}/events", one.recipe, one.step, key=one.key).url
    return RunPage(
        title=f"{top.sign} {top.verdict}: {top.title or one.run}",
        look=top.look,
        version=_version(view, one),
        events="" if _is_settled(view) else events,
        head=top,
        tabs={name: tab.LABEL for name, tab in TABS.items()},
        recipes=_recipes(view),
        recipe=_listed(view, one),
        history=_history(view, recipe),
        drawer=step_view(view, step) if step and has_drawer else None,
        status=_status(view),
    )


def _listed(view: RunView, one: Address) -> str:
    """Return the key of the only recipe that the tab shows; empty if it shows all."""
    shown_recipe = getattr(TABS[one.tab], "shown_recipe", None)
    recipe = shown_recipe(view, one) if shown_recipe else view.record.recipes.get(one.recipe)
    return recipe.key if recipe else ""


def _history(view: RunView, recipe: RecipeRecord | None) -> str:
    paths = {one.path for one in view.record.recipes.values()}
    if recipe is not None:
        paths = {recipe.path}
    return recipe_url(*paths) if len(paths) == 1 else ""


def _recipes(view: RunView) -> list[tuple[str, str, str]]:
    words = [(recipe.key, verdict_of(recipe)) for recipe in view.record.recipes.values()]
    words.sort(key=lambda one: NOTABLE.index(one[1]) if one[1] in NOTABLE else len(NOTABLE))
    return [(key, sign(word), word) for key, word in words]


def usual_seconds(run_cache: RunCache, estimates: StepEstimates, run: str) -> Seconds:
    """Return the estimated durations of the steps of a run; empty if the run has ended."""

    def names(view: RunView) -> list[tuple[str, str]]:
        if _is_over(view):
            return []
        return [(step.recipe, step.name) for step in view.record.steps]

    wanted = run_cache.read(run, names)
    return estimates.of(run_cache.folder(run), wanted) if wanted else {}


def _status(view: RunView) -> str:
    """Return the text of the status line."""
    last = view.record.last
    event = f" · last event {local_time(last)}" if last else ""
    return f"Reading {view.folder}{event}"
