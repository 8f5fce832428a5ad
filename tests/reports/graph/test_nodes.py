"""Folding of the steps of a large recipe into few boxes."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.graph.nodes import FOLDED_ABOVE, graph


def chain(count: int, **states: str) -> list[dict[str, Any]]:
    """Return a chain of passed steps; `states` has other states by the name of the step."""
    names = [f"s{number}" for number in range(count)]
    return [
        {"name": name, "needs": names[max(n - 1, 0) : n], "state": states.get(name, "passed")}
        for n, name in enumerate(names)
    ]


def counts(steps: list[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(node.state, node.steps) for node in graph(steps).nodes.values()]


def test_forty_steps_are_drawn_one_by_one() -> None:
    assert counts(chain(FOLDED_ABOVE)) == [("passed", 1)] * 40


def test_a_chain_of_more_steps_is_folded_but_for_its_ends_and_its_failed_steps() -> None:
    off: dict[str, Any] = {"name": "off", "final": True, "state": "passed"}

    drawn = graph([*chain(60, s20="failed", s44="failed"), off])

    assert [node.label for node in drawn.nodes.values()] == [
        "s0",
        "s1 … s19",
        "s20",
        "s21 … s43",
        "s44",
        "s45 … s58",
        "s59",
        "off",
    ]
    assert drawn.waits["off"] == {"s59": True}
    assert sum(node.steps for node in drawn.nodes.values()) == 61


@pytest.mark.parametrize(
    "state", ["failed", "error", "timeout", "interrupted", "running", "xfailed"]
)
def test_steps_that_a_reader_looks_for_are_never_folded(state: str) -> None:
    assert (state, 1) in counts(chain(100, s50=state))
    assert len(graph(chain(100, **{f"s{n}": state for n in range(100)})).nodes) == 100


def test_blocked_steps_behind_a_failure_are_folded_too() -> None:
    states = {"s3": "failed"} | {f"s{number}": "blocked" for number in range(4, 500)}

    assert counts(chain(500, **states)) == [
        *[("passed", 1)] * 3,
        ("failed", 1),
        ("blocked", 495),
        ("blocked", 1),
    ]


def test_parallel_steps_of_the_same_state_are_folded() -> None:
    steps = [{"name": f"s{n}", "state": "failed" if n == 7 else "passed"} for n in range(500)]

    assert counts(steps) == [("passed", 499), ("failed", 1)]


def test_steps_of_a_recipe_that_has_not_run_are_not_folded() -> None:
    assert len(graph([{"name": f"s{number}"} for number in range(100)]).nodes) == 100


def test_a_long_name_keeps_its_end() -> None:
    steps = [
        step | {"name": f"measurement_of_channel_{n:03}", "needs": []}
        for n, step in enumerate(chain(50))
    ]

    assert [node.label for node in graph(steps).nodes.values()] == ["measu…_000 … measu…_049"]


@given(
    st.lists(
        st.tuples(st.integers(0, 2**60), st.sampled_from(["passed", "failed", "blocked"])),
        min_size=41,
        max_size=60,
    )
)
def test_folding_keeps_every_step_every_failure_and_the_order(drawn: list[tuple[int, str]]) -> None:
    steps: list[dict[str, Any]] = [
        {
            "name": f"s{n}",
            "state": state,
            "needs": [f"s{one}" for one in range(n) if not mask >> one & 7],
        }
        for n, (mask, state) in enumerate(drawn)
    ]

    folded = graph(steps)

    assert sum(node.steps for node in folded.nodes.values()) == len(steps)
    failed = [step["name"] for step in steps if step["state"] == "failed"]
    assert [name for name, node in folded.nodes.items() if node.state == "failed"] == failed
    places = {name: place for place, name in enumerate(folded.nodes)}
    assert {name for mine in folded.waits.values() for name in mine} <= places.keys()
    whole = graph(steps, fold=False)
    for stop in failed:
        direct = [one for one in whole.waits[stop] if one in failed]
        assert {*direct} <= {*folded.waits[stop]}
