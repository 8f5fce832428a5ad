"""Law of units: barriers open, turns do not cross, and a unit fails alone, whatever happens."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.scheduling.tasks import StepDependencies
from pytest_orchestrator.execution.scheduling.units import Panel, needs_of
from pytest_orchestrator.recipe import cells

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.recipe import Recipe, Step
    from tests.execution.conftest import Bench

UNITS = "ABC"
ENDS = {"pass": "true", "fail": "exit 3", "die": "kill -9 $$", "skip": "true"}
BEST = 1.0
"""Seconds within which a barrier opens after the last unit has come or left."""


class Drawn(NamedTuple):
    """A step of a panel: its scope, its turn, and how it ends in each unit."""

    scope: str
    turn: str
    ends: tuple[str, ...]
    unselected: tuple[bool, ...]


@st.composite
def panels(draw: Any) -> list[Drawn]:
    """Generate the steps of a panel that the loader accepts."""
    steps = []
    turn = draw(st.sampled_from(["", "t"]))
    for _ in range(draw(st.integers(2, 5))):
        scope = draw(st.sampled_from(["each", "each", "once", "together"]))
        # A turn ends before a step that waits for all units.
        turn = "" if scope != "each" else turn
        ends = tuple(draw(st.sampled_from([*ENDS, "pass", "pass"])) for _ in UNITS)
        gone = tuple(draw(st.integers(0, 9)) == 0 for _ in UNITS)
        steps.append(Drawn(scope, turn, ends, gone))
    return steps


def text_of(steps: list[Drawn]) -> str:
    lines = []
    for number, one in enumerate(steps):
        ends = {unit: ENDS[end] for unit, end in zip(UNITS, one.ends, strict=True)}
        keys = f"name: s{number}, type: shell, parse: text, scope: {one.scope}"
        if one.turn:
            keys += f", turn: {one.turn}"
        if one.scope == "once":
            lines.append(f"  - {{{keys}, cmd: '{ENDS[one.ends[0]]}'}}")
            continue
        skips = [index for index, end in enumerate(one.ends) if end == "skip"]
        cmd = f'env: {{CMD: "${{{{ {ends}[unit.name] }}}}"}}, cmd: [sh, -c, eval $CMD]'
        lines.append(f"  - {{{keys}, if: 'unit.index not in {skips}', {cmd}}}")
    return f"units: {{names: [{', '.join(UNITS)}]}}\nsteps:\n" + "\n".join(lines)


def expected(steps: list[Drawn], recipe: Recipe, gone: set[str]) -> dict[str, str]:
    """Return the outcome of each step, as it follows from the rules alone."""
    found: dict[str, str] = {}
    meets = {"passed", "skipped"}
    for step in recipe.steps:
        if step.name in gone:
            continue
        needs = needs_of(recipe, step, [one for one in step.needs if one not in gone])
        blocked = any(found[one] not in meets for one in needs.own)
        if needs.units:
            left = [all(found[one] in meets for one in names) for names in needs.units]
            blocked = blocked or not any(left)
        drawn = steps[int(step.name[1 : step.name.find("[")] if step.unit else step.name[1:])]
        end = drawn.ends[UNITS.index(step.unit) if step.unit else 0]
        skipped = end == "skip" and drawn.scope != "once"
        ended = "skipped" if skipped else "passed" if end in ("pass", "skip") else "failed"
        found[step.name] = "blocked" if blocked else ended
    return found


class Played(NamedTuple):
    """A run of a panel: outcomes, and the start and end of each step that ran."""

    outcomes: dict[str, str]
    times: dict[str, tuple[float, float]]


def play(bench: Bench, recipe: Recipe, slots: list[Slot], gone: set[str]) -> Played:
    """Run a panel as pytest does: each selected step is requested in the order of the recipe."""
    run = RecipeRun(recipe, bench.context, bench.attempt, slots=slots)
    wanted = [step for step in recipe.steps if step.name not in gone]

    def dependencies(step: Step) -> StepDependencies:
        needs = [one for one in step.needs if one not in gone]
        own, units = needs_of(recipe, step, needs)
        return StepDependencies(own, (), units)

    run.workers.plan({step.name: dependencies(step) for step in wanted})
    outcomes: dict[str, str] = {}
    times = {}
    try:
        for step in wanted:
            blocker = run.blocker(step, [one for one in step.needs if one not in gone])
            result = run.block(step, blocker) if blocker else run.result(step)
            outcomes[step.name] = result.outcome
            if result.ended is not None:
                times[step.name] = result.window
    finally:
        run.cancel("the test is over")
    return Played(outcomes, times)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=panels(), more=st.integers(0, 2))
def test_a_panel_ends_as_its_units_alone_would(
    bench: Bench, slot: Slot, steps: list[Drawn], more: int
) -> None:
    [recipe] = cells(bench.recipe(text_of(steps)), {"env": {}, "vars": {}})
    gone = {
        f"s{number}[unit:{unit}]"
        for number, one in enumerate(steps)
        for unit, is_gone in zip(UNITS, one.unselected, strict=True)
        if is_gone and one.scope != "once"
    }
    slots = [slot, *(slot.new_slot() for _ in range(len(UNITS) - 1 + more))]
    try:
        began = time.time()
        played = play(bench, recipe, slots, gone)
    finally:
        for other in slots[1:]:
            other.end_programs(at_once=True, late=True)

    assert played.outcomes == expected(steps, recipe, gone)
    times = played.times
    for number, one in enumerate(steps):
        group = [name for name in times if name.startswith(f"s{number}[")]
        if one.scope == "together" and group:
            arrivals = [began]
            for unit in UNITS:
                arrivals += [times[each][1] for each in _before(recipe, number, unit, gone, times)]
            first = min(times[name][0] for name in group)
            needs = [each for name in group for each in recipe.step(name).needs if each in times]
            assert all(times[each][1] <= first for each in needs)
            assert max(times[name][0] for name in group) - max(arrivals) < BEST
    by_unit = [
        [times[name] for name in times if recipe.step(name).unit == unit and recipe.step(name).turn]
        for unit in UNITS
    ]
    spans = sorted((min(one)[0], max(each[1] for each in one)) for one in by_unit if one)
    assert all(a[1] <= b[0] for a, b in itertools.pairwise(spans))


def _before(
    recipe: Recipe, number: int, unit: str, gone: set[str], times: dict[str, Any]
) -> list[str]:
    """Return the steps that ran before a step of a unit: its arrival at the barrier, or its end."""
    names = [step.name for step in recipe.steps if step.unit in ("", unit)]
    return [
        name
        for name in names
        if int(name[1:].partition("[")[0]) < number and name not in gone and name in times
    ]


def test_no_task_gets_a_slot_while_a_barrier_waits_for_slots(bench: Bench) -> None:
    steps = "[{name: a, type: shell, cmd: x, scope: together}, {name: b, type: shell, cmd: x}]"
    [recipe] = cells(bench.recipe(f"units: {{count: 2}}\nsteps: {steps}"), {})
    panel = Panel(recipe, lambda _: (), lambda _: False, lambda _: False)
    first, second = (recipe.step(f"a[unit:{unit}]") for unit in "12")
    other = recipe.step("b[unit:1]")
    queued = {first.name, second.name, other.name}

    assert not panel.may_start(first, queued, 1, is_new=True)
    assert not panel.may_start(other, queued, 1, is_new=True)
    assert panel.may_start(first, queued, 2, is_new=True)
    panel.begin(first)
    assert not panel.may_start(other, queued - {first.name}, 1, is_new=True)
    assert panel.may_start(second, queued - {first.name}, 1, is_new=True)
    panel.begin(second)
    assert panel.may_start(other, {other.name}, 1, is_new=True)
