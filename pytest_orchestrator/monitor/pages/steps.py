"""Steps tab: table of all steps."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.text import counted, one_line
from pytest_orchestrator.monitor.address import Address, chosen_recipe, step_key
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.pages.resources import live_usage, samples_version
from pytest_orchestrator.monitor.pages.runs import recipe_url
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.reports.html.page import meta_text
from pytest_orchestrator.reports.text import added, cut, megabytes, peak_megabytes
from pytest_orchestrator.runs.record import ACTIVE, RecipeRecord, StepRecord
from pytest_orchestrator.runs.summary import verdict_of
from pytest_orchestrator.runs.verdicts import counts

LABEL: Final = "Steps"


class StepRow(Struct, frozen=True):
    """Row of a step.

    Attributes:
        key: Its key in URLs.
        number: Its number in the run, from 1.
        name: Its name.
        recipe: Key of its recipe.
        state: Its state.
        attempt: Number of its attempt; 0 before the first one.
        started: Start of its attempt in ISO 8601 UTC; empty before.
        since: Start of its attempt in seconds since the epoch; 0 if it does not run.
        seconds: Its duration so far; None if it did not run.
        cpu: CPU time in seconds, so far; None if it was not measured.
        peak: Peak memory in MB, so far, as the reports show it.
        reason: Reason of its state, or what it does at the moment.
        worker: The worker that ran it; empty without one.
    """

    key: str
    number: int
    name: str
    recipe: str
    state: str
    attempt: int
    started: str
    since: float
    seconds: float | None
    cpu: float | None
    peak: str
    reason: str
    worker: str


class Group(Struct, frozen=True):
    """Head of the rows of a recipe.

    Attributes:
        verdict: Verdict of the recipe.
        name: Its name, with the cell of its matrix.
        dut: Its unit under test.
        steps: Number of its steps by state, as a text.
        history: URL of the page of the recipe.
    """

    verdict: str
    name: str
    dut: str
    steps: str
    history: str


class Content(Struct, frozen=True):
    """Content of the tab.

    Attributes:
        part: The rows of this page.
        counts: Number of rows by word, before the filter by state.
        has_recipes: True if the steps are of several recipes.
        groups: Heads of the recipes on this page by key; empty if the rows are sorted.
    """

    part: Part[StepRow]
    counts: dict[str, int]
    has_recipes: bool
    groups: dict[str, Group]


def content(view: RunView, one: Address) -> Content:
    """Return the content of the tab.

    Args:
        view: The run.
        one: The address of the page.
    """
    recipe = chosen_recipe(view, one) if one.recipe else None
    selected = (step for step in view.record.steps if step.state != "not selected")
    numbered = [*enumerate(selected, 1)]
    if recipe is not None:
        numbered = [(number, step) for number, step in numbered if step.recipe == recipe.key]
    words = one.q.lower().split()
    if words:
        numbered = [(number, step) for number, step in numbered if _has(step, words)]
    words_shown = dict(Counter(step.word for _, step in numbered))
    if one.state:
        numbered = [(number, step) for number, step in numbered if step.word == one.state]
    column = one.sort.removeprefix("-")
    if column in _SORTS:
        by = _SORTS[column]
        numbered.sort(key=lambda each: by(each[1]), reverse=one.sort.startswith("-"))
    shown = part(numbered, one.page)
    rows = [_row(view, number, step) for number, step in shown.rows]
    several = recipe is None and len(view.record.recipes) > 1
    keys = dict.fromkeys(row.recipe for row in rows) if several and column not in _SORTS else {}
    groups = {key: _group(view.record.recipes[key]) for key in keys}
    return Content(shown._replace(rows=rows), words_shown, several, groups)


def _group(recipe: RecipeRecord) -> Group:
    words = counts(recipe.steps.values())
    others = [f"{number:,} {word}" for word, number in words.items() if word != "passed"]
    cell = recipe.about.get("cell")
    name = cut(recipe.name, 200)
    return Group(
        verdict_of(recipe),
        f"{name} [{cut(str(cell), 100)}]" if cell else name,
        meta_text(recipe, "dut"),
        counted(words.total(), "step") + (f" ({', '.join(others)})" if others else ""),
        recipe_url(recipe.path),
    )


def version(view: RunView, _: Address) -> str:
    """Return a text that changes whenever samples of running steps may be new.

    Args:
        view: The run.
    """
    return samples_version(view)


def _has(step: StepRecord, words: Iterable[str]) -> bool:
    """Return True if the name, recipe, tags or reason of a step have all words."""
    # A passed step has no reason, and its block would have to be decoded.
    reason = "" if step.state == "passed" else _reason(step)
    text = f"{step.name} {step.recipe} {' '.join(step.about.get('tags') or ())} {reason}".lower()
    return all(word in text for word in words)


_SORTS: Final[dict[str, Callable[[StepRecord], Any]]] = {
    "step": lambda step: step.name,
    "recipe": lambda step: step.recipe,
    "state": lambda step: step.word,
    "started": lambda step: step.started or "",
    "seconds": lambda step: step.figures.get("seconds", -1),
    "cpu": lambda step: _cpu(step) or -1,
    "peak": lambda step: step.figures.get("max_rss", -1),
}


def _cpu(step: StepRecord) -> float | None:
    used = step.figures
    return added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds"))


def _row(view: RunView, number: int, step: StepRecord) -> StepRow:
    runs = step.state in ACTIVE and bool(step.started)
    live = live_usage(view, step) if runs else None
    return StepRow(
        key=step_key(step),
        number=number,
        name=step.name,
        recipe=step.recipe,
        state=step.word,
        attempt=step.attempt,
        started=step.start or "",
        since=epoch_seconds(step.started or "") if runs else 0.0,
        seconds=0.0 if runs else step.figures.get("seconds"),
        cpu=live.cpu if live else _cpu(step),
        peak=megabytes(live.peak) if live else peak_megabytes(step.figures),
        reason=cut(one_line(_reason(step)), 300),
        worker=" of ".join(step.where.values()),
    )


def _reason(step: StepRecord) -> str:
    """Return the reason of a state; of a step without an outcome its question, elements or lock."""
    fields = step.outcome_fields
    if step.state not in ACTIVE and step.state != "waiting":
        blocked = fields.get("blocked_by")
        return str(fields.get("reason") or (f"blocked by {blocked}" if blocked else ""))
    parts = []
    if step.progress is not None:
        failed = f", {step.progress.failed} failed" if step.progress.failed else ""
        parts.append(f"{step.progress.ended} of {step.progress.total} elements{failed}")
    if step.locked is not None:
        owner = f" (held by {step.locked[0].owner})" if step.locked[0].owner else ""
        parts.append(f"waits for {step.locked[0].lock}{owner}")
    elif step.asked is not None:
        parts.append(f"asks: {step.asked.message}")
    elif step.failed:
        parts.append(f"attempt {len(step.failed)} failed: {step.failed[-1].reason}")
    return " · ".join(parts)
