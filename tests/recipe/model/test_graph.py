"""Execution order of steps, transitive needs, and cycles."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model import graph

Needs = dict[str, tuple[str, ...]]


@st.composite
def needs(draw: st.DrawFn, *, circles: bool = False) -> Needs:
    """Generate steps with needs: without cycles, but in any order of the list."""
    names = [f"s{n}" for n in range(draw(st.integers(0, 12)))]
    found: Needs = {}
    for position, name in enumerate(names):
        others = [each for each in (names if circles else names[:position]) if each != name]
        picked = draw(st.lists(st.sampled_from(others), unique=True)) if others else []
        found[name] = tuple(picked)
    return {name: found[name] for name in draw(st.permutations(names))}


@settings(deadline=None)
@given(needs())
def test_each_step_comes_once_and_after_the_steps_that_it_needs(steps: Needs) -> None:
    order = graph.ordered(steps)
    assert sorted(order) == sorted(steps)
    for position, name in enumerate(order):
        assert set(steps[name]) <= set(order[:position])


@settings(deadline=None)
@given(needs())
def test_each_step_is_the_first_of_the_list_that_can_run(steps: Needs) -> None:
    done: list[str] = []
    for name in graph.ordered(steps):
        able = [each for each in steps if each not in done and set(steps[each]) <= set(done)]
        assert name == able[0]
        done.append(name)


@settings(deadline=None)
@given(needs())
def test_steps_with_an_order_have_no_cycle(steps: Needs) -> None:
    assert graph.circles(steps) == []


@settings(deadline=None)
@given(needs(circles=True))
def test_every_reported_cycle_is_real_and_without_cycles_an_order_exists(steps: Needs) -> None:
    circles = graph.circles(steps)
    for circle in circles:
        assert circle[0] == circle[-1]
        assert len(set(circle)) == len(circle) - 1
        for name, need in pairwise(circle):
            assert need in steps[name]
    broken = {name for circle in circles for name in circle}
    rest = {
        name: tuple(need for need in needed if need not in broken)
        for name, needed in steps.items()
        if name not in broken
    }
    assert sorted(graph.ordered(rest)) == sorted(rest)


def test_a_cycle_begins_with_the_first_of_its_steps() -> None:
    steps: Needs = {"c": (), "b": ("a",), "a": ("d",), "d": ("b", "c")}
    assert graph.circles(steps) == [("b", "a", "d", "b")]


def test_at_most_twenty_cycles_are_reported() -> None:
    steps: Needs = {}
    for n in range(100):
        steps |= {f"a{n}": (f"b{n}",), f"b{n}": (f"a{n}",)}
    assert len(graph.circles(steps)) == 20


def test_a_long_chain_of_needs_does_not_recurse() -> None:
    steps: Needs = {f"s{n}": (f"s{n + 1}",) for n in range(20_000)} | {"s20000": ()}
    assert graph.ordered(steps) == tuple(f"s{n}" for n in range(20_000, -1, -1))


def test_transitive_needs_are_in_execution_order(
    read: Callable[[str], Recipe],
) -> None:
    recipe = read(
        "steps:\n"
        "- {name: a, type: shell, cmd: x, needs: [d]}\n"
        "- {name: b, type: shell, cmd: x, needs: []}\n"
        "- {name: c, type: shell, cmd: x, needs: [a, d]}\n"
        "- {name: d, type: shell, cmd: x, needs: []}\n"
        "finally:\n"
        "- {name: y, type: shell, cmd: x, needs: [z]}\n"
        "- {name: z, type: shell, cmd: x}\n"
    )
    assert [step.name for step in graph.needed_steps(recipe, "c")] == ["d", "a"]
    assert [step.name for step in graph.needed_steps(recipe, "y")] == ["z"]
    assert graph.needed_steps(recipe, "b") == ()
    with pytest.raises(KeyError):
        graph.needed_steps(recipe, "nope")


@given(needs(circles=True), st.booleans())
def test_dependencies_of_recorded_steps_have_no_cycle(steps: Needs, itself: bool) -> None:
    blocks: list[dict[str, Any]] = [
        {"name": name, "after": [*needed], "needs": [name] if itself else []}
        for name, needed in steps.items()
    ]
    found = graph.dependencies(blocks)
    assert graph.circles(found) == []
    assert [*found] == [*steps]
    if not itself and not graph.circles(steps):
        assert {name: set(mine) for name, mine in found.items()} == {
            name: set(needed) for name, needed in steps.items()
        }
