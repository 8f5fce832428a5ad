"""Page of a run: `report.html` of its present state, rendered for the steps that the reader chose.

Beyond the file it has the progress, the usage of the steps that run, and the search and the order
of the steps in its address. The panel of a step is there once the step is opened.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.monitor.address import Address, chosen_step, files_url, step_key
from pytest_orchestrator.monitor.live import STAY
from pytest_orchestrator.monitor.pages import log
from pytest_orchestrator.monitor.pages.head import Head, head, report_url
from pytest_orchestrator.monitor.pages.part import Part, part
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.html.budget import ContentBudget
from pytest_orchestrator.reports.html.overview import Overview
from pytest_orchestrator.reports.html.page import Page, anchor_of_step
from pytest_orchestrator.reports.html.step_view import StepView
from pytest_orchestrator.reports.html.trends import Curves, Earlier, curves, trends
from pytest_orchestrator.reports.quantities import duration
from pytest_orchestrator.reports.text import added, cut, look, sign
from pytest_orchestrator.runs.folder import RunFile
from pytest_orchestrator.runs.index.estimates import Seconds, StepEstimates
from pytest_orchestrator.runs.index.past_runs import earlier
from pytest_orchestrator.runs.record import ACTIVE, StepRecord
from pytest_orchestrator.runs.summary import marginal, verdict, verdict_of
from pytest_orchestrator.runs.units import by_unit
from pytest_orchestrator.runs.verdicts import NOT_GOOD, NOTABLE

LOG: Final = "log"
"""Name of the page of a log in URLs."""

STEPS: Final = 2_000
"""Steps on one page. A browser takes half a second for so many, and a run rarely has more."""
_BUDGET: Final = ContentBudget(
    log=16_000, failed_log=16_000, text=20_000, points=240, changes=50, value=1_000
)
_SAMPLED_EVERY: Final = 2
"""Seconds after which a page shows new samples. A step of some seconds is sampled once a second."""
_HISTORY_BYTES: Final = 8 << 20
"""Largest total size of the history of earlier runs that a page reads."""
_HISTORY_AGE: Final = 30.0
"""Seconds after which the history is read again while the run goes on."""
_MAX_HISTORIES: Final = 8


class LiveStep(StepView):
    """View of a step on a page that the monitor renders, also of one that runs.

    Args:
        view: The run.
        one: The address of the page.
    """

    def __init__(self, view: RunView, one: Address, *args: Any) -> None:
        super().__init__(*args)
        key = step_key(self.step)
        self._run_view = view
        self.is_open = self.has_panel = key == one.step
        self.href = one.but(step="" if self.is_open else key)
        if self.is_open:
            self.log_href = Address(one.run, "log", step=key).url
        if self.step.state in ACTIVE and self.step.started:
            self.since = epoch_seconds(self.step.started)
            usage = live_usage(view, self.step)
            self.used = {"cpu_user_seconds": usage.cpu, "max_rss": usage.peak} if usage else {}

    @property
    def seconds(self) -> str:
        """Duration of the step code, so far if it runs; a dash if it did not run."""
        return duration(max(0.0, time.time() - self.since)) if self.since else super().seconds

    @property
    def reason(self) -> str:
        """Reason why it did not pass; of a step without an outcome what it waits for."""
        return cut(one_line(waits_for(self.step)), 300) or super().reason

    @property
    def samples(self) -> Path | None:
        """File with the resource samples of the step."""
        return samples_path(self._run_view, self.step) if self.since else super().samples


def waits_for(step: StepRecord) -> str:
    """Return the lock, question, element or retry of a step without an outcome; else empty."""
    if step.state not in ACTIVE and step.state != "waiting":
        return ""
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


class Sort(NamedTuple):
    """Link that sorts the steps by a column: its URL, and ``asc`` or ``desc`` if they are."""

    href: str
    way: str


class LivePage(Page):
    """View of a run for the templates of `report.html`, with the steps that a reader chose.

    Attributes:
        sorts: Links that sort the steps, by column.

    Args:
        view: The run.
        one: The address of the page.
        rows: The steps on this page, in order.
    """

    def __init__(self, view: RunView, one: Address, rows: list[StepRecord]) -> None:
        self._run_view, self._one, self._rows = view, one, rows
        base = files_url(view.folder.name)
        super().__init__(view.record, view.folder, base, _earlier(view), rows)
        self.is_sorted = one.sort.removeprefix("-") in _SORTS
        self.sorts = {name: _sort(one, name) for name in ("order", *_SORTS)}

    def _content_budget(self, steps: Iterable[StepRecord]) -> ContentBudget:  # noqa: ARG002
        return _BUDGET  # only the steps that the reader opens have a panel

    def view(self, step: StepRecord, recipe: str, anchor: str) -> StepView:
        """Return the view of a step."""
        order = step.about.get("index", 0) + 1
        args = (anchor, order, step, recipe, self.files, self.budget)
        return LiveStep(self._run_view, self._one, *args)

    @cached_property
    def trends(self) -> list[dict[str, Any]]:
        """Histories of figures: those of the recipe that the reader chose, else of all."""
        recipe = self.run.recipes.get(self._one.recipe)
        keys = self.earlier.keys() if recipe is None else {one.key for one in by_unit([recipe])}
        return trends(self.run, {key: self.earlier[key] for key in keys & self.earlier.keys()})

    @property
    def until(self) -> str:
        """Time in ISO 8601 at which the bars of unfinished steps end: now if the run goes on."""
        return datetime.now(UTC).isoformat() if self.run.state == "running" else self.run.last

    def page_of(self, run: str) -> str:
        """Return a link to the page of another run by its id; empty if its folder was deleted."""
        return Address(run).url if (self.folder.parent / run).is_dir() else ""

    @cached_property
    def listed(self) -> list[list[StepView]]:
        """The steps of each recipe on this page; in another order one list of all."""
        if not self.is_sorted:
            return super().listed
        views = {id(view.step): view for view in self.steps}
        return [[views[id(step)] for step in self._rows]]

    @property
    def unlisted(self) -> int:
        """Number of steps that are not listed: none, since other pages list them."""
        return 0

    @property
    def marginal(self) -> int:
        """Number of measurements of the run that pass but are near a limit."""
        return marginal(self.run.steps)

    @cached_property
    def first_failure(self) -> StepView | None:
        """The failed step of the run that ended first; None if no step failed."""
        bad = NOT_GOOD - {"interrupted"}
        failed = (step for step in self.run.steps if step.state in bad)
        first = min(failed, key=lambda step: step.lines[1] or 1 << 60, default=None)
        if first is None:
            return None
        return self.view(first, self.run.recipes[first.recipe].name, anchor_of_step(first))


_histories: dict[str, tuple[str, float, Earlier]] = {}


def _earlier(view: RunView) -> Earlier:
    """Return the earlier runs of the recipes, read once; of a live run again after some time."""
    key, state, now = str(view.folder), view.record.state, time.monotonic()
    known = _histories.pop(key, None)
    if not (known and known[0] == state and (state != "running" or now - known[1] < _HISTORY_AGE)):
        known = state, now, earlier(view.record, view.folder, _HISTORY_BYTES)
    _histories[key] = known  # the last key is the most recently used one
    for old in islice([*_histories], max(0, len(_histories) - _MAX_HISTORIES)):
        _histories.pop(old, None)
    return known[2]


class Frame(Struct, frozen=True):
    """Values of the frame of the page.

    Attributes:
        title: Title of the window: sign, verdict, recipes.
        look: Style of the verdict, for the icon.
        version: Version of the shown state.
        events: URL of the stream of changes; empty if the run is over.
        head: Progress of the run, and the steps that run.
        counts: Number of the found steps by word, before the filter by state.
        part: The rows of this page.
        recipes: Key, sign and verdict of each recipe, those that did not pass first.
    """

    title: str
    look: str
    version: str
    events: str
    head: Head
    counts: Mapping[str, int]
    part: Part[StepRecord]
    recipes: list[tuple[str, str, str]]


def page(run_cache: RunCache, estimates: StepEstimates, one: Address) -> str:
    """Return the page of a run as HTML.

    Args:
        run_cache: The runs.
        estimates: Estimated durations of steps.
        one: The address of the page.

    Raises:
        NoRun: The run does not exist.
    """

    def draw(view: RunView) -> str:
        shown, counts = chosen_steps(view, one)
        run = LivePage(view, one, [*shown.rows])
        top = head(view, usual_seconds(view, estimates))
        frame = _frame(view, one, top, shown, counts)
        return render("run.html", page=frame, run=run, overview=Overview(run), address=one)

    return run_cache.read(one.run, draw)


def log_page(run_cache: RunCache, one: Address) -> str:
    """Return the page of a log as HTML.

    Args:
        run_cache: The runs.
        one: The address of the page.

    Raises:
        NoRun: The run does not exist.
    """

    def draw(view: RunView) -> str:
        word = verdict(view.record)
        events = Address(one.run, f"{LOG}/events", one.recipe, one.step, key=one.key).url
        frame = {
            "title": f"{sign(word)} Log: {one.run}",
            "verdict": word,
            "look": look(word),
            "version": _version(view, one),
            "events": "" if is_settled(view) else events,
            "recipes": _recipes(view),
        }
        return render("log.html", page=frame, address=one, content=log.content(view, one))

    return run_cache.read(one.run, draw)


def version(run_cache: RunCache, one: Address) -> tuple[str, bool]:
    """Return the version of a page, and True if the run will not change any more.

    Args:
        run_cache: The runs.
        one: The address of the page.

    Raises:
        NoRun: The run does not exist.
    """
    return run_cache.read(one.run, lambda view: (_version(view, one), is_over(view)))


def _version(view: RunView, one: Address) -> str:
    """Return a text that changes with what a page shows: with the time, while steps are sampled."""
    more = ""
    if one.tab == LOG:
        more = log.version(view, one)
    elif not is_over(view):
        more = str(int(time.time() // _SAMPLED_EVERY))
    return f"{view.version}.{view.record.state}.{len(view.problem)}.{report_url(view) and 1}.{more}"


def is_over(view: RunView) -> bool:
    """Return True if a run has ended."""
    return view.record.state != "running"


def is_settled(view: RunView) -> bool:
    """Return True if a run ended some time ago, so that its reports are written."""
    last = view.record.last
    return is_over(view) and (not last or time.time() - epoch_seconds(last) > STAY)


def chosen_steps(view: RunView, one: Address) -> tuple[Part[StepRecord], Counter[str]]:
    """Return the steps on a page, and the number of found steps by word.

    A page with an open step is the one that has its row.
    """
    steps = [step for step in view.record.steps if step.state != "not selected"]
    if one.recipe in view.record.recipes:
        steps = [step for step in steps if step.recipe == one.recipe]
    if words := one.q.lower().split():
        steps = [step for step in steps if _has(step, words)]
    counts = Counter(step.word for step in steps)
    if one.state:
        steps = [step for step in steps if step.word == one.state]
    if by := _SORTS.get(one.sort.removeprefix("-")):
        steps.sort(key=by, reverse=one.sort.startswith("-"))
    opened, number = chosen_step(view, one), one.page
    if opened in steps:
        number = steps.index(opened) // STEPS + 1
    return part(steps, number, STEPS), counts


def _has(step: StepRecord, words: Iterable[str]) -> bool:
    """Return True if the name, recipe, tags or reason of a step have all words."""
    # A passed step has no reason, and its block would have to be decoded.
    reason = "" if step.state == "passed" else waits_for(step) or step.reason
    text = f"{step.name} {step.recipe} {' '.join(step.about.get('tags') or ())} {reason}".lower()
    return all(word in text for word in words)


def _cpu(step: StepRecord) -> float:
    used = step.figures
    return added(used.get("cpu_user_seconds"), used.get("cpu_system_seconds")) or -1


_SORTS: Final[dict[str, Callable[[StepRecord], Any]]] = {
    "state": lambda step: step.word,
    "seconds": lambda step: step.figures.get("seconds", -1),
    "cpu": _cpu,
    "peak": lambda step: step.figures.get("max_rss", -1),
    "wrote": lambda step: [one.key for one in step.block.context.writes] if step.block else [],
}


def _sort(one: Address, column: str) -> Sort:
    name = "" if column == "order" else column
    is_up, is_down = one.sort == name, bool(name) and one.sort == f"-{name}"
    way = "asc" if is_up else "desc" if is_down else ""
    return Sort(one.but(sort=f"-{name}" if name and is_up else name), way)


def _frame(
    view: RunView, one: Address, top: Head, shown: Part[StepRecord], counts: Counter[str]
) -> Frame:
    events = Address(one.run, "events").url
    return Frame(
        title=f"{top.sign} {top.verdict}: {top.title or one.run}",
        look=top.look,
        version=_version(view, one),
        events="" if is_settled(view) else events,
        head=top,
        counts=counts,
        part=shown,
        recipes=_recipes(view),
    )


def _recipes(view: RunView) -> list[tuple[str, str, str]]:
    recipes = [(recipe.key, verdict_of(recipe)) for recipe in view.record.recipes.values()]
    recipes.sort(key=lambda one: NOTABLE.index(one[1]) if one[1] in NOTABLE else len(NOTABLE))
    return [(key, sign(word), word) for key, word in recipes]


def usual_seconds(view: RunView, estimates: StepEstimates) -> Seconds:
    """Return the estimated durations of the steps of a run; empty if the run has ended."""
    if is_over(view):
        return {}
    return estimates.of(view.folder, [(step.recipe, step.name) for step in view.record.steps])


_MAX_POINTS: Final = 240


class Usage(NamedTuple):
    """Usage of a running step until its last sample.

    Attributes:
        cpu: CPU time in seconds.
        peak: Highest resident memory of a sample, in bytes.
    """

    cpu: float
    peak: int


def live_usage(view: RunView, step: StepRecord) -> Usage | None:
    """Return the usage of a running step; None while it has too few samples.

    Args:
        view: The run.
        step: A step of it.
    """
    path = samples_path(view, step)
    try:
        file = path.stat() if path else None
    except OSError:  # a step of less than a second has no samples
        file = None
    known = _read(path, file.st_mtime_ns, file.st_size) if path and file else None
    if known is None:
        return None
    before, cpu = 0.0, 0.0
    for at, cores in zip(known.seconds, known.cpu, strict=True):
        cpu += cores * (at - before)
        before = at
    return Usage(round(cpu, 3), max(known.rss))


def samples_path(view: RunView, step: StepRecord) -> Path | None:
    """Return the path at which a running step stores its samples; None outside of the folder.

    Args:
        view: The run.
        step: A step of it.
    """
    log = step.log_file("jsonl", step.attempt or 1).recorded_path
    return RunFile(log.replace("logs/", "resources/", 1)).inside(view.folder)


@lru_cache(maxsize=64)  # several browsers show a page
def _read(path: Path, _time: int, _size: int) -> Curves | None:
    return curves(path, _MAX_POINTS)
