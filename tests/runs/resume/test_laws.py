"""Resume after kills: the resumed run ends with the Context of an uninterrupted one."""

from __future__ import annotations

import contextlib
from typing import Any, NamedTuple

from hypothesis import event, given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.events import (
    AnyEvent,
    RecipeStarted,
    RunStarted,
    StepFinished,
    StepStarted,
)
from pytest_orchestrator.runs.journal.chain import Entry
from pytest_orchestrator.runs.record import RunRecord
from pytest_orchestrator.runs.resume.plan import ResumePlan, plan
from pytest_orchestrator.runs.resume.restore import opening, restored
from tests.runs.recipes import ANY_MACHINE, KEY, SAME, recipe, today
from tests.runs.test_record import DO

NAMES = ("a", "b", "c", "d", "e")
CALLS = st.lists(
    st.tuples(st.sampled_from(sorted(DO)), st.sampled_from(["k", "l"]), st.integers(-2, 2)),
    max_size=4,
)


class Killed(Exception):
    """The simulated process was killed."""


class Step(NamedTuple):
    """A step of a simulated recipe."""

    keys: dict[str, Any]
    calls: list[tuple[str, str, int]]


@st.composite
def recipes(draw: st.DrawFn) -> dict[str, Step]:
    """Draw steps; those that may run in any order share no key, so the final Context is defined."""
    steps: dict[str, Step] = {}
    is_chain = draw(st.booleans())
    for name in NAMES[: draw(st.integers(1, len(NAMES)))]:
        keys: dict[str, Any] = {"idempotent": draw(st.booleans())}
        calls = draw(CALLS)
        if not is_chain:
            keys["needs"] = tuple(draw(st.sets(st.sampled_from(sorted(steps)))) if steps else ())
            calls = [(op, f"{name}.{key}", value) for op, key, value in calls]
        steps[name] = Step(keys, calls)
    return steps


class Session:
    """Simulated run, with the order of steps and the events of a real one."""

    def __init__(self, steps: dict[str, Step], number: int, lives: int | None) -> None:
        self.record = RunRecord()
        self.context = Context()
        self.ran: list[str] = []
        self._steps, self._run, self._lives = steps, f"run{number}", lives
        self._lines = 0
        self._recipe = recipe({name: step.keys for name, step in steps.items()})

    def _write(self, what: AnyEvent, moment: int = 0) -> None:
        if self._lives == self._lines:
            raise Killed
        self._lines += 1
        self.record.fold(Entry(self._lines, stamp(moment), what))

    def go(self, old: RunRecord | None, rerun: list[tuple[str, str]]) -> list[str]:
        """Run all steps; return the names of those that were refused."""
        decisions = ResumePlan("", {}) if old is None else plan(old, [today(self._recipe)], rerun)
        resumed = old.id if old else None
        self._write(RunStarted(schema_version="1.0", run=self._run, resumed_from=resumed))
        about = tuple({"name": name} for name in self._steps)
        self._write(RecipeStarted(recipe=KEY, about={}, steps=about))
        if old is not None:
            self._restore(old, decisions)
        self.context.set_callbacks(self._write)
        met: set[str] = set()
        refused = []
        for step in self._recipe.steps:
            fate = decisions.of(KEY, step.name)
            if not met.issuperset(step.needs):
                end = StepFinished(
                    recipe=KEY, step=step.name, outcome="blocked", meets=False, block={}
                )
                self._write(end)
            elif fate.kind == "refused":
                refused.append(step.name)
                end = StepFinished(
                    recipe=KEY, step=step.name, outcome="failed", meets=False, block={}
                )
                self._write(end)
            else:
                if fate.kind != "restored":
                    self._perform(step.name)
                met.add(step.name)
        return refused

    def _restore(self, old: RunRecord, decisions: ResumePlan) -> None:
        self.context.restore(restored(old, decisions).snapshot)
        for each in opening(old, decisions, self._run):
            self._write(each)

    def _perform(self, name: str) -> None:
        self._write(StepStarted(recipe=KEY, step=name))
        self.ran.append(name)
        own = self.context.bound(name, by=f"{KEY}::{name}")
        for op, key, value in self._steps[name].calls:
            try:
                DO[op](own, key, value)
            except OrchestratorError:
                continue
        self._write(
            StepFinished(
                recipe=KEY, step=name, outcome="passed", meets=True, block={}, digests=SAME
            )
        )


@ANY_MACHINE
@given(recipes(), st.lists(st.integers(0, 30), max_size=6))
def test_killed_and_resumed_runs_end_with_the_context_of_one_run(
    steps: dict[str, Step], kills: list[int]
) -> None:
    whole = Session(steps, 0, None)
    whole.go(None, [])
    ran: list[str] = []
    rerun: list[tuple[str, str]] = []
    old: RunRecord | None = None
    session = whole
    for number, lives in enumerate([*kills, None, None], 1):
        session = Session(steps, number, lives)
        try:
            refused = session.go(old, rerun)
            rerun = [(KEY, name) for name in refused]
        except Killed:
            rerun = []
        ran += session.ran
        session.record.end("interrupted")
        if session.record.is_complete:
            old = session.record
    event(f"steps ran {len(ran) - len(whole.ran)} times again")

    assert session.context.to_dict() == whole.context.to_dict()
    assert session.record.changes.values() == whole.context.to_dict()
    for name in steps:
        assert name in ran
    assert [step.ended and step.ended.outcome for step in session.record.steps] == [
        "passed" for _ in steps
    ]


@ANY_MACHINE
@given(recipes(), st.lists(st.integers(0, 30), max_size=6))
def test_a_step_that_is_not_idempotent_runs_once_without_a_rerun(
    steps: dict[str, Step], kills: list[int]
) -> None:
    ran: list[str] = []
    old: RunRecord | None = None
    for number, lives in enumerate([*kills, None], 1):
        session = Session(steps, number, lives)
        with contextlib.suppress(Killed):
            session.go(old, [])
        ran += session.ran
        session.record.end("interrupted")
        if session.record.is_complete:
            old = session.record

    once = [name for name, step in steps.items() if not step.keys["idempotent"]]
    assert all(ran.count(name) <= 1 for name in once)
