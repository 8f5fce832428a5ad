"""Head of the page of a run: verdict, progress, time to go, the steps that run, first failures."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.monitor.address import step_key
from pytest_orchestrator.monitor.run_cache import RunView
from pytest_orchestrator.recipe.model.graph import dependencies
from pytest_orchestrator.reports.head.meta import labelled_meta, meta_text
from pytest_orchestrator.reports.html.render import NAME
from pytest_orchestrator.reports.html.timeline import timeline_of
from pytest_orchestrator.reports.quantities import duration
from pytest_orchestrator.reports.text import cut, look, sign
from pytest_orchestrator.reports.views import steps_of
from pytest_orchestrator.runs.index.estimates import Seconds, remaining
from pytest_orchestrator.runs.record import ACTIVE, RunRecord, StepRecord
from pytest_orchestrator.runs.summary import (
    empty_loops,
    interruption,
    seconds,
    simulated_in,
    verdict,
)
from pytest_orchestrator.runs.verdicts import counts


class Remaining(NamedTuple):
    """Estimated remaining time of a run.

    Attributes:
        seconds: The time.
        is_whole: True if each pending step has an estimate; else the time is a lower bound.
    """

    seconds: float
    is_whole: bool


def remaining_time(run: RunRecord, estimates: Seconds, now: float) -> Remaining | None:
    """Return the estimated remaining time of a run; None if no pending step has an estimate.

    The remaining time of a step is its estimate minus the time that it has already run. The number
    of steps that its timeline shows in parallel is assumed for the rest of a recipe. Steps that
    were not selected do not count.
    """
    whole, is_known, is_whole = 0.0, False, True
    for recipe in run.recipes.values():
        pending = [
            step
            for step in recipe.steps.values()
            if step.block is None and step.state != "not selected"
        ]
        left = {
            step.name: _left_of(step, estimates[step.recipe, step.name], now)
            for step in pending
            if (step.recipe, step.name) in estimates
        }
        is_known = is_known or bool(left)
        is_whole = is_whole and len(left) == len(pending)
        if left:
            line = timeline_of(recipe.steps.values(), run.last)
            lanes = max(1, line.lanes if line else 1)
            whole += remaining(left, dependencies(steps_of(recipe)), lanes)
    return Remaining(whole, is_whole) if is_known else None


def _left_of(step: StepRecord, estimate: float, now: float) -> float:
    if not (step.state == "waiting" or step.state in ACTIVE):
        return 0.0
    ran = max(0.0, now - epoch_seconds(step.started)) if step.started else 0.0
    return max(0.0, estimate - ran)


_ORDER: Final = ("passed", "failed", "blocked", "skipped", "running", "waiting")
_MOST: Final = 3


class Mention(Struct, frozen=True):
    """A step in the head of a page.

    Attributes:
        key: Its key in URLs.
        name: Its name.
        text: Attempt and element, or what it waits for; of a failed step its unit or recipe.
        reason: Reason of its failure; empty without one.
        since: Start of its attempt in seconds since the epoch; 0 if it does not run.
        seconds: Time since then.
        state: Its state.
    """

    key: str
    name: str
    text: str = ""
    reason: str = ""
    since: float = 0.0
    seconds: float = 0.0
    state: str = ""


class Head(Struct, frozen=True):
    """Head of the page of a run.

    Attributes:
        verdict: The verdict of the run, one word.
        sign: Sign of the verdict.
        look: Style of the verdict.
        cause: Cause of an interruption; empty without one.
        problem: Reason why the journal cannot be read further; empty if it can.
        reading: Text while a large journal is being read; empty once it was read.
        title: Names of the first recipes.
        done: Number of steps that have ended.
        total: Number of selected steps.
        parts: Number of steps by style, in the order of the bar.
        now: The steps that run, at most three.
        more_now: Number of other steps that run.
        since: Start of the run in seconds since the epoch while it runs; else 0.
        seconds: Duration of the run so far.
        ended: Its end in seconds since the epoch; 0 while it runs.
        left: Text of the estimated time to its end; empty if unknown.
        started: Its start in ISO 8601 UTC.
        facts: DUT, operator, station and host by label.
        failures: The first failed steps, at most three.
        more_failures: Number of other failed steps.
        report: URL of `report.html`; empty while there is none.
        report_path: Path of `report.html`, which can be opened when the monitor has ended.
    """

    verdict: str
    sign: str
    look: str
    cause: str
    problem: str
    reading: str
    title: str
    done: int
    total: int
    parts: list[tuple[str, int]]
    now: list[Mention]
    more_now: int
    since: float
    seconds: float
    ended: float
    left: str
    started: str
    facts: dict[str, str]
    failures: list[Mention]
    more_failures: int
    report: str
    report_path: str


def head(view: RunView, estimates: Seconds) -> Head:
    """Return the head of the page of a run.

    Args:
        view: The run.
        estimates: Estimated durations of its steps.
    """
    run, now = view.record, time.time()
    word = verdict(run)
    steps = run.steps
    words = counts(steps)
    looks = Counter(look(word) for word in words.elements())
    live = run.state == "running" and bool(run.first)
    active = [step for step in steps if step.state in ACTIVE]
    failed = sorted(
        (step for step in steps if look(step.state) == "failed"), key=lambda one: one.lines[1]
    )
    left = remaining_time(run, estimates, now) if live and steps else None
    return Head(
        verdict=word,
        sign=sign(word),
        look=look(word),
        cause=cut(interruption(run), 200) if word == "interrupted" else "",
        problem=view.problem,
        reading="" if view.share == 1 else f"{view.share:.0%}".replace("%", " %"),
        title=_title(view),
        done=words.total() - looks["running"] - looks["waiting"],
        total=words.total(),
        parts=[(name, looks[name]) for name in _ORDER if looks[name]],
        now=[_running(step, now) for step in active[:_MOST]],
        more_now=max(0, len(active) - _MOST),
        since=epoch_seconds(run.first) if live else 0.0,
        seconds=max(0.0, now - epoch_seconds(run.first)) if live else seconds(run),
        ended=0.0 if live or not run.last else epoch_seconds(run.last),
        left="" if left is None else _left(left),
        started=run.first,
        facts=dict(_facts(view)),
        failures=[_failure(run, step) for step in failed[:_MOST]],
        more_failures=max(0, len(failed) - _MOST),
        report=report_url(view),
        report_path=str(view.folder.absolute() / NAME),
    )


def _left(left: Remaining) -> str:
    """Return the text of a remaining time; a step without history makes it a lower bound."""
    return f"{'about' if left.is_whole else 'at least'} {duration(left.seconds)} to go"


def report_url(view: RunView) -> str:
    """Return the URL of `report.html`; empty while there is none."""
    is_there = view.record.state != "running" and (view.folder / NAME).is_file()
    return f"/run/{view.folder.name}/file/{NAME}" if is_there else ""


def _title(view: RunView) -> str:
    """Return the names of the first three recipes; cells of a matrix count as one."""
    recipes = view.record.recipes.values()
    names = Counter(cut(one.name, 80) for one in recipes)
    shown = [f"{name} \u00d7 {number}" if number > 1 else name for name, number in names.items()]
    more = f" and {len(shown) - _MOST} more" if len(shown) > _MOST else ""
    return ", ".join(shown[:_MOST]) + more


def _facts(view: RunView) -> Iterator[tuple[str, str]]:
    yield from labelled_meta(view.record.recipes.values()).items()
    if view.record.started and view.record.started.replay:
        yield "REPLAY", f"no instrument is used; run {view.record.started.replay} answers"
    if simulated := simulated_in(view.record.opened):
        yield "Simulated", cut(", ".join(simulated), 200)
    if empty := empty_loops(view.record.steps):
        yield "List is empty", cut(", ".join(step.name for step in empty), 200)
    for end in (end for one in view.record.recipes.values() for end in one.unsafe):
        yield "Not in its safe state", cut(f"{end.instrument}: {end.reason}", 200)
    started = view.record.started
    if started and started.host:
        yield "Host", cut(started.host, 80)


def _running(step: StepRecord, now: float) -> Mention:
    since = epoch_seconds(step.started) if step.started else 0.0
    parts = [f"attempt {step.attempt}"] if step.attempt > 1 else []
    if step.progress is not None:
        parts.append(f"element {step.progress.ended + 1} of {step.progress.total}")
    if step.state == "locked":
        parts.append("waits for a lock")
    elif step.state == "asks":
        parts.append(f"asks: {one_line(step.asked.message)}" if step.asked else "asks")
    elif step.state == "retrying":
        parts.append("waits for the next attempt")
    text = cut(", ".join(parts), 200)
    seconds = max(0.0, now - since)
    return Mention(step_key(step), step.name, text, "", since, seconds, step.state)


def _failure(run: RunRecord, step: StepRecord) -> Mention:
    """Return a failed step; in a run of several recipes with its unit or recipe, and its cell."""
    reason = cut(one_line(str(step.outcome_fields.get("reason") or "")), 120)
    recipe, of = run.recipes[step.recipe], ""
    if len(run.recipes) > 1:
        about = recipe.about
        of = meta_text(recipe, "dut") or cut(str(about.get("name") or about.get("path")), 80)
        of += cut(f" [{about['cell']}]", 80) if about.get("cell") else ""
    return Mention(step_key(step), step.name, of, reason, state=step.word)
