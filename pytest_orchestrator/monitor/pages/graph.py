"""Graph tab: the picture of a recipe that `report.html` has, and a list of its steps."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, structs

from pytest_orchestrator.monitor.address import (
    Address,
    chosen_recipe,
    chosen_step,
    step_key,
)
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.critical_path import CriticalPath, critical_path
from pytest_orchestrator.reports.graph.layout import COLUMNS
from pytest_orchestrator.reports.graph.nodes import MOST, Graph
from pytest_orchestrator.reports.graph.nodes import graph as graph_of
from pytest_orchestrator.reports.graph.picture import boxes, legend_of, narrow_boxes
from pytest_orchestrator.reports.text import cut, look
from pytest_orchestrator.runs.record import ACTIVE, RecipeRecord, StepRecord
from pytest_orchestrator.runs.summary import verdict_of
from pytest_orchestrator.runs.verdicts import NOTABLE

LABEL: Final = "Graph"

PART: Final = 500
"""Steps of one picture and of one page of its list."""
_UNFOLDED: Final = "all"
"""Value of `key` in the address of a picture without folded steps."""
_COLUMNS_BESIDE_A_STEP: Final = 3
_MAX_NEEDS: Final = 6
_MAX_PATH: Final = 6


class StepLink(Struct, frozen=True):
    """Step in the list.

    Attributes:
        key: Its key in URLs.
        name: Its name.
        state: Its state.
        needs: The steps that it waits for, as a text; empty without any.
        is_critical: True if it is on the critical path.
    """

    key: str
    name: str
    state: str
    needs: str
    is_critical: bool


class Content(Struct, frozen=True):
    """Content of the tab.

    Attributes:
        recipe: Key of the recipe.
        name: Its name.
        verdict: Its verdict.
        others: Number of other recipes.
        picture: Variables of the template of the picture.
        narrow: Those of the picture for narrow screens; None if it is the same.
        legend: Entries of the legend.
        drawn: Number of steps that the boxes stand for.
        folded: Number of steps in boxes of several steps.
        is_unfolded: True if each step has a box of its own.
        critical: The critical path; None before the first step has ended.
        path: The steps of the critical path, as a text.
        part: The steps of the list, which are those of the picture.
        notable: The first step that failed or runs, and its page, if that is another page.
    """

    recipe: str
    name: str
    verdict: str
    others: int
    picture: dict[str, Any]
    narrow: dict[str, Any] | None
    legend: list[str]
    drawn: int
    folded: int
    is_unfolded: bool
    critical: CriticalPath | None
    path: str
    part: Part[StepLink]
    notable: tuple[str, int] | None


def content(view: RunView, one: Address) -> Content | None:
    """Return the content of the tab; None before the first recipe has started.

    Args:
        view: The run.
        one: The address of the page.
    """
    recipe = shown_recipe(view, one)
    if recipe is None:
        return None
    steps = [*recipe.steps.values()]
    shown = part(steps, one.page, PART)
    critical = critical_path([step.block for step in shown.rows if step.block])
    chain = frozenset(critical.names) if critical else frozenset()
    is_unfolded = one.key == _UNFOLDED
    states = {step.name: step.word for step in shown.rows}
    graph = _graph(shown.rows, states, one, is_unfolded=is_unfolded)
    marks = _marks(graph, chain, chosen_step(view, one))
    wide = boxes(graph, marks, _COLUMNS_BESIDE_A_STEP if one.step else COLUMNS)
    return Content(
        recipe=recipe.key,
        name=cut(recipe.name, 200),
        verdict=verdict_of(recipe),
        others=len(view.record.recipes) - 1,
        picture=wide,
        narrow=narrow_boxes(graph, wide),
        legend=[*legend_of(graph).texts, *(["━ critical path"] if chain else [])],
        drawn=len(shown.rows) - sum(graph.left_out.values()),
        folded=sum(node.steps for node in graph.nodes.values() if node.steps > 1),
        is_unfolded=is_unfolded,
        critical=critical,
        path=_path(critical.names) if critical else "",
        part=shown._replace(rows=[_link(step, states, chain) for step in shown.rows]),
        notable=notable(steps, shown),
    )


def _path(names: Sequence[str]) -> str:
    """Return the steps of a critical path; of a long one the first and the last ones."""
    if len(names) <= _MAX_PATH:
        return cut(" > ".join(names), 400)
    left = len(names) - _MAX_PATH
    return cut(" > ".join([*names[:3], f"… {left} more …", *names[3 - _MAX_PATH :]]), 400)


def shown_recipe(view: RunView, one: Address) -> RecipeRecord | None:
    """Return the chosen recipe; else the first that did not pass, that runs, or the first one.

    Args:
        view: The run.
        one: The address of the page.
    """
    if (found := chosen_recipe(view, one)) is not None:
        return found
    words = {recipe.key: verdict_of(recipe) for recipe in view.record.recipes.values()}
    order = (*NOTABLE, "")
    return min(
        view.record.recipes.values(),
        key=lambda recipe: order.index(words[recipe.key] if words[recipe.key] in order else ""),
        default=None,
    )


def _graph(
    steps: Sequence[StepRecord], states: Mapping[str, str], one: Address, *, is_unfolded: bool
) -> Graph:
    """Return the graph of steps; a folded box has the link to the unfolded picture.

    Args:
        steps: The steps.
        states: Their states by name.
        one: The address of the page.
        is_unfolded: True if each step has a box of its own.
    """
    drawn = [_drawn(step, states, one) for step in steps]
    graph = graph_of(drawn, fold=not is_unfolded, most=None if is_unfolded else MOST)
    unfolded = one.but(key=_UNFOLDED)
    nodes = {
        name: node if node.steps == 1 else structs.replace(node, href=unfolded)
        for name, node in graph.nodes.items()
    }
    return structs.replace(graph, nodes=nodes)


def _drawn(step: StepRecord, states: Mapping[str, str], one: Address) -> Mapping[str, Any]:
    about = step.about
    known = {
        key: [name for name in about[key] if name in states]
        for key in ("needs", "after")
        if about.get(key)
    }
    more = {"state": states[step.name], "href": one.but(step=step_key(step))}
    resources = step.block.resources if step.block else None
    seconds = {"seconds": resources.seconds} if resources else {}
    return about | known | {"name": step.name} | more | seconds


def _marks(graph: Graph, chain: frozenset[str], chosen: StepRecord | None) -> dict[str, str]:
    """Return the further classes of boxes: those of the critical path, and the chosen step."""
    name = chosen.name if chosen else ""
    marks = {}
    for node in graph.nodes.values():
        ends = {node.name, node.last}
        classes = ["critical"] * bool(ends & chain) + ["picked"] * (name in ends)
        if classes:
            marks[node.name] = " ".join(classes)
    return marks


def _link(step: StepRecord, states: Mapping[str, str], chain: frozenset[str]) -> StepLink:
    needs = [*(step.about.get("needs") or ())]
    more = f" and {len(needs) - _MAX_NEEDS} more" if len(needs) > _MAX_NEEDS else ""
    text = cut(", ".join(needs[:_MAX_NEEDS]), 300) + more
    return StepLink(step_key(step), step.name, states[step.name], text, step.name in chain)


def notable(steps: Sequence[StepRecord], shown: Part[Any]) -> tuple[str, int] | None:
    """Return the first failed or else the first active step, and its page.

    Args:
        steps: The steps of all pages.
        shown: The page.

    Returns:
        None if there is no such step, and if it is on this page.
    """
    for is_notable in (_is_failed, _is_active):
        for place, step in enumerate(steps):
            if is_notable(step):
                page = place // shown.size + 1
                return None if page == shown.page else (step.name, page)
    return None


def _is_failed(step: StepRecord) -> bool:
    return look(step.state) == "failed"


def _is_active(step: StepRecord) -> bool:
    return step.state in ACTIVE
