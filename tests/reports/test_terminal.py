"""The table of a recipe in the terminal: a row a step, cut where the terminal ends."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.terminal import table, verdict


def block(name: str, state: str = "passed", **more: Any) -> dict[str, Any]:
    keys = more.pop("keys", [])
    return {
        "step": {"name": name, "state": state},
        "context": {"writes": [{"key": key} for key in keys]},
    } | more


def test_each_step_has_a_row_with_its_figures() -> None:
    resources = {
        "seconds": 3.214,
        "cpu_user_seconds": 0.3,
        "cpu_system_seconds": 0.125,
        "max_rss": 38_149_999,
    }
    blocks = [
        block("flash", resources=resources, keys=["dut.firmware_v1", "log", "log"]),
        block("measure_ripple", "failed", resources={"seconds": 61.5}),
        block("漢字", "blocked"),
    ]
    assert table(blocks, 100) == [
        " step            state    seconds  CPU s  peak MB  wrote",
        " flash           passed      3.21   0.42     38.1  dut.firmware_v1, log",
        " measure_ripple  failed     61.50      -        -  -",
        " 漢字            blocked        -      -        -  -",
    ]


def test_the_number_of_tries_is_shown_where_there_were_several() -> None:
    blocks: list[dict[str, Any]] = [
        {"step": {"name": "once", "state": "passed", "attempt": 1}},
        {"step": {"name": "thrice", "state": "passed", "attempt": 3}},
    ]
    assert table(blocks, 100)[1:] == [
        " once    passed            -      -        -  -",
        " thrice  passed (3)        -      -        -  -",
    ]


def test_a_row_that_is_too_wide_is_cut_with_a_mark() -> None:
    blocks = [block("flash", keys=["dut.firmware_v1"])]
    assert table(blocks, 46) == [
        " step   state   seconds  CPU s  peak MB  wrote",
        " flash  passed        -      -        -  dut.…",
    ]
    assert table([block("漢" * 30)], 21)[1] == f" {'漢' * 9}…"


def columns(text: str) -> int:
    return sum(2 if char == "漢" else 1 for char in text)


@given(
    st.lists(
        st.builds(block, st.text("ab 漢"), st.text("ab 漢"), keys=st.lists(st.text("ab漢"))),
        max_size=4,
    ),
    st.integers(20, 100),
)
def test_no_row_is_wider_than_the_terminal(blocks: list[dict[str, Any]], width: int) -> None:
    rows = table(blocks, width)
    assert len(rows) == len(blocks) + 1
    assert all(columns(row) <= width for row in rows)


@pytest.mark.parametrize(
    ("states", "word"),
    [
        (["passed", "failed", "blocked"], "failed"),
        (["passed", "error"], "failed"),
        (["passed", "skipped", "xfailed"], "passed"),
        (["skipped", "blocked"], "failed"),
        ([], "skipped"),
    ],
)
def test_a_recipe_has_one_word_for_all_its_steps(states: list[str], word: str) -> None:
    assert verdict([block("s", state) for state in states]) == word
