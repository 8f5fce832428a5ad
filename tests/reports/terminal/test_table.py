"""Table of the steps of a recipe: no line is wider than the terminal."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.reports.terminal import table as steps_table
from pytest_orchestrator.reports.terminal.lines import Part
from pytest_orchestrator.reports.terminal.table import closing
from pytest_orchestrator.runs.block import Block
from tests.blocks import parsed


def block(
    name: str, state: str = "passed", keys: Sequence[str] = (), step: Any = (), **more: Any
) -> Block:
    writes = [{"key": key} for key in keys]
    step = {"name": name, "state": state, **dict(step)}
    return parsed({"step": step, "context": {"writes": writes}, **more})


def table(blocks: list[Block], width: int) -> list[str]:
    return [row.text for row in steps_table.table(blocks, width)]


def ran(name: str, start: float, stop: float, *needs: str, **more: Any) -> Block:
    time = {"start": f"2026-11-25T10:00:{start:06.3f}Z", "stop": f"2026-11-25T10:00:{stop:06.3f}Z"}
    keys, step = more.pop("keys", ()), {"needs": [*needs], **more}
    return block(name, keys=keys, step=step, time=time, resources={"seconds": stop - start})


BENCH = [
    ran("flash", 0.0, 3.2, keys=["dut.firmware_v1"]),
    ran("burn_in", 3.3, 43.4, "flash", keys=["log", "log"]),
    ran("thermal", 3.3, 42.0, "flash"),
    ran("release", 43.5, 43.6, "burn_in", "thermal"),
]


def test_overlapping_steps_are_marked() -> None:
    assert table(BENCH, 100) == [
        " step         state   seconds  CPU s  peak MB  context keys written",
        " flash        passed     3.20      -        -  dut.firmware_v1",
        " burn_in  ||  passed    40.10      -        -  log",
        " thermal  ||  passed    38.70      -        -  -",
        " release      passed     0.10      -        -  -",
    ]


def test_critical_path_and_context_are_below_the_table() -> None:
    assert closing(BENCH, 100) == [
        "critical path flash > burn_in > release: 43.4 s of 43.6 s",
        "context 2 keys, 3 writes",
    ]
    assert closing(BENCH, 30) == [
        "critical path flash > … > release: 43.4 s of 43.6 s",
        "context 2 keys, 3 writes",
    ]
    assert closing([block("flash", "blocked")], 30) == []


def test_a_long_critical_path_shows_its_first_and_last_steps() -> None:
    blocks = [ran("beside", 0, 50)]
    for number in range(20):
        needs = [f"step{number - 1}"] if number else []
        blocks.append(ran(f"step{number}", number, number + 1, *needs))
    assert closing([*blocks, ran("last", 20, 59, "step19")], 80)[0] == (
        "critical path step0 > step1 > … 17 more … > step19 > last: 59.0 s of 59.0 s"
    )


def test_the_state_of_a_row_is_coloured() -> None:
    retried = block("b", "failed", step={"attempt": 3})
    rows = steps_table.table([block("a"), retried, block("c", "blocked")], 60)
    assert rows[2].text == " b     failed (attempt 3)        -      -        -  -"
    assert Part("failed (attempt 3)", "red") in rows[2].parts
    assert [part.colour for row in rows for part in row.parts if part.colour] == [
        "green",
        "red",
        "yellow",
    ]


def test_a_name_takes_at_most_two_fifths_of_the_terminal() -> None:
    blocks = [block("a_step_with_a_name_that_is_long", resources={"seconds": 1.0})]
    assert table(blocks, 40) == [
        " step          state   seconds  CPU s…",
        " a_step_with…  passed     1.00      -…",
    ]
    assert table([block("x" * 100, resources={"seconds": 1.0})], 80)[1] == (
        f" {'x' * 30}…  passed     1.00      -        -  -"
    )
    assert table(blocks, 300)[1] == (
        " a_step_with_a_name_that_is_long  passed     1.00      -        -  -"
    )


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
        " step            state    seconds  CPU s  peak MB  context keys written",
        " flash           passed      3.21   0.42     38.1  dut.firmware_v1, log",
        " measure_ripple  failed     61.50      -        -  -",
        " 漢字            blocked        -      -        -  -",
    ]


def test_a_memory_peak_that_is_an_upper_bound_is_marked() -> None:
    bound = {"memory": "wait4, an upper bound"}
    blocks = [
        block("short", resources={"seconds": 0.01, "max_rss": 9_031_680, "source": bound}),
        block("long", resources={"seconds": 0.1, "max_rss": 2_023_424, "source": {}}),
        block("far", resources={"seconds": 0.1, "source": bound}),
    ]
    assert table(blocks, 100)[1:] == [
        " short  passed     0.01      -    ≤ 9.0  -",
        " long   passed     0.10      -      2.0  -",
        " far    passed     0.10      -        -  -",
    ]


def test_the_number_of_the_attempt_is_shown_after_a_retry() -> None:
    blocks = [block("once", step={"attempt": 1}), block("thrice", step={"attempt": 3})]
    assert table(blocks, 100)[1:] == [
        " once    passed                    -      -        -  -",
        " thrice  passed (attempt 3)        -      -        -  -",
    ]


def test_a_row_that_is_too_wide_ends_with_an_ellipsis() -> None:
    blocks = [block("flash", keys=["dut.firmware_v1"])]
    assert table(blocks, 46) == [
        " step   state   seconds  CPU s  peak MB  cont…",
        " flash  passed        -      -        -  dut.…",
    ]
    assert table([block("漢" * 30)], 21)[1] == " 漢漢漢漢漢…   passe…"


STATES = ("passed", "failed", "interrupted", "not run")


def columns(text: str) -> int:
    return sum(2 if char == "漢" else 1 for char in text)


@given(
    st.lists(
        st.builds(block, st.text("ab 漢"), st.sampled_from(STATES), keys=st.lists(st.text("ab漢"))),
        max_size=4,
    ),
    st.integers(20, 100),
)
def test_no_row_is_wider_than_the_terminal(blocks: list[Block], width: int) -> None:
    rows = table(blocks, width)
    assert len(rows) == len(blocks) + 1
    assert all(columns(row) <= width for row in rows)


def loop(count: int, *failed: int) -> Block:
    elements = [
        {
            "index": index,
            "item": index * 0.5,
            "state": "failed" if index in failed else "passed",
            "attempt": 2 if index in failed else 1,
            "resources": {"seconds": 1.25, "source": {}},
        }
        for index in range(count)
    ]
    return block("sweep", "failed" if failed else "passed", elements=elements)


def test_elements_of_a_loop_are_rows_below_their_step() -> None:
    assert table([loop(2)], 70) == [
        " step       state   seconds  CPU s  peak MB  context keys written",
        " sweep      passed        -      -        -  -",
        "   [0] 0.0  passed     1.25      -        -",
        "   [1] 0.5  passed     1.25      -        -",
    ]


def test_a_sampled_value_outside_its_limits_is_an_error_as_in_the_list_of_the_run() -> None:
    rows = table([block("case", "error", step={"sampled": True}), block("s", "failed")], 80)
    assert [row.split()[:2] for row in rows[1:]] == [["case", "error"], ["s", "failed"]]


def test_a_long_element_leaves_room_for_the_figures() -> None:
    elements = [{"index": 0, "item": "a long name of a device under test", "state": "passed"}]
    rows = table([block("sweep", elements=elements, resources={"seconds": 1.5})], 80)
    assert rows == [
        " step                     state   seconds  CPU s  peak MB  context keys written",
        " sweep                    passed     1.50      -        -  -",
        "   [0] a long name of a…  passed        -      -        -",
    ]


def test_of_many_elements_the_table_shows_those_that_did_not_pass() -> None:
    rows = table([loop(1000, 499)], 80)[2:]
    assert [" ".join(row.split()) for row in rows] == [
        "[499] 249.5 failed (attempt 2) 1.25 - -",
        "… 999 more elements",
    ]
    assert len(table([loop(1000, *range(100))], 80)) == 2 + 10 + 1


def test_an_empty_loop_says_so() -> None:
    assert " sweep  passed (empty list)" in table([loop(0)], 80)[1]
