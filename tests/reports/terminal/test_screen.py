"""Summary of a session that fits a screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.core.text import display_width
from pytest_orchestrator.reports.terminal.screen import Overview, overview, screen, totals
from tests.blocks import parsed

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block


def step(name: str, state: str = "passed", at: float = 0, **more: Any) -> Block:
    recipe = {"path": more.pop("path", "recipes/psu.yaml")}
    if cell := more.pop("cell", ""):
        recipe["cell"] = cell
    keys = {"name": name, "state": state, "index": 1}
    keys |= {key: more.pop(key) for key in _OF_STEP if key in more}
    if state not in ("blocked", "skipped", "not run", "restored"):
        more["time"] = {
            "start": f"2026-11-25T10:00:{at:06.3f}Z",
            "stop": f"2026-11-25T10:00:{at + 1:06.3f}Z",
        }
        more["resources"] = {"seconds": 0.5}
    return parsed({"recipe": recipe, "step": keys, **more})


_OF_STEP = ("reason", "blocked_by", "attempt", "reruns", "matrix", "sampled", "kind")


def ripple(value: float, verdict: str = "pass", **more: Any) -> dict[str, Any]:
    return {
        "name": "ripple",
        "value": value,
        "unit": "mV",
        "high": 50.0,
        "margin": 50 - value,
        "verdict": verdict,
        "line": 1,
        **more,
    }


FAIL, NEAR, GOOD = ripple(61.4, "fail"), ripple(47.2, marginal=True), ripple(12)


def shown(*recipes: list[Block], width: int = 100, only_failed: bool = False) -> list[str]:
    runs = map(overview, recipes)
    lines = screen(runs, width, only_failed=only_failed, more="see the report")
    return [line.text for line in lines]


def green(name: str, steps: int = 2, **more: Any) -> list[Block]:
    return [step(f"s{at}", at=at, path=f"recipes/{name}.yaml", **more) for at in range(steps)]


def test_recipes_that_passed_are_one_aligned_line_each() -> None:
    measured = [*green("psu", 4), step("m", at=1.1, measurements=[GOOD, GOOD])]
    again = [
        step("a", path="recipes/again.yaml", attempt=3),
        step("b", "skipped", path="recipes/again.yaml"),
        step("c", path="recipes/again.yaml"),
    ]
    assert shown(measured, green("burn_in", 48), again) == [
        "recipes/psu.yaml      passed   5 steps   4.0 s  2 measurements",
        "recipes/burn_in.yaml  passed  48 steps  48.0 s",
        "recipes/again.yaml    passed   3 steps   1.0 s  1 skipped; 1 repeated (a)",
    ]


def test_a_time_above_a_minute_is_that_of_a_clock() -> None:
    blocks = [step("a", at=0), step("b", at=8)]
    late = parsed(
        {
            "recipe": {"path": "recipes/psu.yaml"},
            "step": {"name": "late"},
            "time": {"start": "2026-11-25T10:00:09.0Z", "stop": "2026-11-25T11:02:03.5Z"},
        }
    )
    assert shown([*blocks, late]) == ["recipes/psu.yaml  passed  3 steps  1:02:03"]


def test_a_marginal_measurement_of_a_passed_recipe_is_shown() -> None:
    blocks = [*green("psu"), step("m", measurements=[GOOD, NEAR])]
    assert shown(blocks) == [
        "recipes/psu.yaml  passed  3 steps  2.0 s  2 measurements, 1 marginal",
        "  m  passed (1 marginal)  0.50 s",
        "    ripple  47.2 mV  ≤ 50.0 mV  margin 2.8 mV, marginal",
    ]
    assert shown(blocks, only_failed=True) == []


def test_blocked_steps_are_folded_into_the_step_that_blocks_them() -> None:
    blocks = [
        *green("psu", 7),
        step("flash", "failed", reason="exit code 3, expected 0\nmore"),
        *[step(f"b{at}", "blocked", blocked_by="flash") for at in range(52)],
    ]
    assert shown(blocks) == [
        "recipes/psu.yaml  failed  60 steps  7.0 s  1 failed, 52 blocked",
        "  flash  failed  0.50 s  blocks 52 steps; exit code 3, expected 0",
    ]


def test_steps_with_the_same_reason_share_a_row() -> None:
    blocks = [
        step("one", "failed", kind="criterion", measurements=[FAIL, GOOD]),
        step("two", "blocked", blocked_by="recipes/x.yaml", reason="blocked by recipes/x.yaml"),
        step("three", "blocked", blocked_by="recipes/x.yaml", reason="blocked by recipes/x.yaml"),
        step("four", "skipped", reason="if: false"),
        step("five", "not run", reason="the session ended before it"),
        step("six", "not run", reason="the session ended before it"),
    ]
    assert shown(blocks) == [
        "recipes/psu.yaml  failed  6 steps  1.0 s  1 failed, 2 blocked, 2 not run, 1 skipped",
        "  one      failed   0.50 s",
        "    ripple  61.4 mV  ≤ 50.0 mV  11.4 mV above",
        "  2 steps  blocked          blocked by recipes/x.yaml",
        "  four     skipped          if: false",
        "  2 steps  not run          five, six: the session ended before it",
    ]


def test_a_recipe_of_which_nothing_ran_is_one_line_with_the_reason() -> None:
    why = "the session ended before it: Ctrl-C"
    blocks = [step(name, "not run", reason=why) for name in ("a", "b")]
    assert shown(blocks) == [f"recipes/psu.yaml  not run  2 steps    {why}"]


def test_at_most_20_rows_are_shown_and_failed_steps_are_kept() -> None:
    skipped = [step(f"s{at}", "skipped", reason=f"reason {at}") for at in range(50)]
    lines = shown([*skipped, step("last", "failed", reason="bad")])
    assert len(lines) == 22
    assert lines[1] == "  last  failed   0.50 s  bad"
    assert lines[-1] == "  and 31 more: see the report"


def cells(*values: float) -> list[list[Block]]:
    recipes = []
    for load, value in enumerate(values):
        of: dict[str, Any] = {"cell": f"load:{load}", "at": load}
        if value > 50:
            blocks = [
                step("m", "failed", measurements=[ripple(value, "fail")], **of),
                step("off", "blocked", blocked_by="m", **of),
            ]
        else:
            near: dict[str, Any] = {"marginal": True} if value > 45 else {}
            blocks = [step("m", measurements=[ripple(value, **near)], **of), step("off", **of)]
        recipes.append(blocks)
    return recipes


def test_a_matrix_is_a_line_for_each_cell_that_is_not_green_and_one_for_the_rest() -> None:
    assert shown(*cells(10, 61.4, 47.2, 20)) == [
        (
            "recipes/psu.yaml  failed  8 steps  4.0 s  4 cells, 1 failed; "
            "4 measurements, 1 failed, 1 marginal"
        ),
        "  [load:1]      failed  2 steps  1.0 s  m failed; blocks 1 step",
        "  3 more cells  passed  6 steps  4.0 s",
        "  m         state                ripple",
        "  limits                         ≤ 50.0 mV",
        "  [load:1]  failed               61.4 (11.4 above)",
        "  [load:2]  passed (1 marginal)  47.2 (margin 2.8)",
    ]
    assert shown(*cells(10, 61.4, 47.2, 20), only_failed=True)[1:] == [
        "  [load:1]  failed  2 steps  1.0 s  m failed; blocks 1 step",
        "  m         state   ripple",
        "  limits            ≤ 50.0 mV",
        "  [load:1]  failed  61.4 (11.4 above)",
    ]


def test_a_green_matrix_is_one_line() -> None:
    assert shown(*cells(*[10] * 40)) == [
        "recipes/psu.yaml  passed  80 steps  40.0 s  40 cells; 40 measurements"
    ]
    assert shown(cells(10)[0])[0].startswith("recipes/psu.yaml[load:0]  passed  2 steps")


def test_of_many_failed_cells_20_are_shown() -> None:
    lines = shown(*cells(*[60] * 51))
    assert len(lines) == 1 + 20 + 1 + 2 + 20 + 1
    assert [line for line in lines if "more" in line] == ["  and 31 more: see the report"] * 2


def test_many_recipes_that_passed_are_one_line() -> None:
    many = [green(f"r{at}") for at in range(40)]
    bad = [step("x", "failed", reason="bad", path="recipes/bad.yaml")]
    assert shown(*many, bad) == [
        "40 recipes        passed  80 steps  2.0 s",
        "recipes/bad.yaml  failed    1 step  1.0 s  1 failed",
        "  x  failed  0.50 s  bad",
    ]
    assert len(shown(*many[:20])) == 20


def test_elements_that_did_not_pass_are_a_table_below_their_step() -> None:
    elements = [
        {"index": at, "item": at * 0.5, "state": state, "measurements": [measured]}
        for at, (state, measured) in enumerate(
            [("passed", GOOD), ("failed", FAIL), ("passed", NEAR), ("skipped", GOOD)]
        )
    ]
    elements[1]["attempt"] = 2
    assert shown([step("sweep", "failed", elements=elements)]) == [
        "recipes/psu.yaml  failed  1 step  1.0 s  1 failed; 4 measurements, 1 failed, 1 marginal",
        "  sweep  failed (1 marginal)  0.50 s",
        "    element  state               ripple",
        "    limits                       ≤ 50.0 mV",
        "    [1] 0.5  failed (attempt 2)  61.4 (11.4 above)",
        "    [2] 1.0  passed              47.2 (margin 2.8)",
        "    [3] 1.5  skipped             12.0",
        "    1 more element passed",
    ]


def test_elements_without_measurements_have_their_reason() -> None:
    elements = [
        {"index": 0, "item": "a", "state": "passed"},
        {"index": 1, "item": "b", "state": "failed", "reason": "exit code 1, expected 0"},
    ]
    assert shown([step("sweep", "failed", elements=elements)])[1:] == [
        "  sweep  failed  0.50 s",
        "    element  state",
        "    [1] b    failed  exit code 1, expected 0",
        "    1 more element passed",
    ]


def test_the_cells_of_a_step_share_a_row() -> None:
    blocks = [
        step("m[ch:1]", matrix={"ch": 1}, measurements=[GOOD]),
        step("m[ch:2]", "failed", matrix={"ch": 2}, measurements=[FAIL]),
        step("m[ch:3]", matrix={"ch": 3}, measurements=[NEAR]),
        step("m[ch:4]", "blocked", matrix={"ch": 4}, blocked_by="m[ch:2]"),
        step("end", "blocked", blocked_by="m[ch:2]"),
    ]
    assert shown(blocks)[1:] == [
        "  m  failed",
        "    cell    state                ripple",
        "    limits                       ≤ 50.0 mV",
        "    [ch:2]  failed               61.4 (11.4 above)  blocks 2 steps",
        "    [ch:3]  passed (1 marginal)  47.2 (margin 2.8)",
        "    2 more cells: 1 passed, 1 blocked",
    ]


def test_a_sampled_value_outside_its_limits_has_a_row_and_is_no_step() -> None:
    sampled = step("case", "error", sampled=True, measurements=[FAIL])
    assert shown([*green("psu"), sampled]) == [
        "recipes/psu.yaml  error  2 steps  2.0 s  1 measurement, 1 failed",
        "  case  error  0.50 s",
        "    ripple  61.4 mV  ≤ 50.0 mV  11.4 mV above",
    ]


def test_restored_steps_take_no_time() -> None:
    blocks = [step("a", "restored"), step("b", "restored")]
    assert shown(blocks) == ["recipes/psu.yaml  passed  2 steps    2 restored"]


def test_only_recipes_that_did_not_pass_are_shown_on_request() -> None:
    bad = [step("x", "failed", reason="bad", path="recipes/bad.yaml")]
    assert shown(green("a"), bad, green("b"), only_failed=True) == [
        "recipes/bad.yaml  failed  1 step  1.0 s  1 failed",
        "  x  failed  0.50 s  bad",
    ]


def test_the_totals_are_one_line() -> None:
    bad = [step("x", "failed", measurements=[FAIL], path="recipes/b.yaml")]
    bad.append(step("y", "blocked", blocked_by="x", path="recipes/b.yaml"))
    other = [step("m", measurements=[GOOD], path="recipes/c.yaml"), *green("c", 1)]
    runs: list[Overview] = [overview(one) for one in (green("a"), bad, other)]
    full = "3 recipes: 2 passed, 1 failed; 6 steps: 4 passed, 1 failed, 1 blocked"
    assert totals(runs, 200) == f"{full}; 2 measurements, 1 failed"
    assert totals(runs, 80) == full
    assert totals(runs, 64) == "3 recipes: 2 passed, 1 failed; 2 measurements, 1 failed"
    assert totals(runs, 10) == "3 recipes: 2 passed, 1 failed"


def test_a_failed_measurement_that_may_fail_is_counted_as_such() -> None:
    allowed = FAIL | {"name": "drift", "allow_fail": True}
    runs = [overview([step("m", measurements=[GOOD, allowed])])]
    assert totals(runs, 100) == (
        "1 recipe: 1 passed; 1 step: 1 passed; 2 measurements, 1 failed (may fail)"
    )


def test_the_cells_of_a_recipe_are_one_recipe_in_the_totals() -> None:
    runs = [overview(one) for one in (*cells(10, 60, 20), green("a"))]
    assert totals(runs, 100) == (
        "2 recipes: 1 passed, 1 failed; 8 steps: 6 passed, 1 failed, 1 blocked; "
        "3 measurements, 1 failed"
    )


def test_counts_that_do_not_fit_are_left_out_whole() -> None:
    states = ["failed", "blocked", "skipped", "xfailed", "xpassed"]
    blocks = [step(f"s{at}", state, reason="bad") for at, state in enumerate(states)]
    assert [shown(blocks, width=width)[0] for width in (100, 80, 60)] == [
        (
            "recipes/psu.yaml  failed  5 steps  1.0 s  "
            "1 failed, 1 blocked, 1 skipped, 1 xfailed, 1 xpassed"
        ),
        "recipes/psu.yaml  failed  5 steps  1.0 s  1 failed, 1 blocked, 1 skipped, …",
        "recipes/psu.yaml  failed  5 steps  1.0 s  1 failed, …",
    ]


def test_each_step_of_a_cell_that_did_not_pass_is_named() -> None:
    bad = [step("m", "failed", reason="bad", cell="a:1"), step("off", "error", cell="a:1")]
    bad += [step("s1", "blocked", reason="x", cell="a:1"), step("s2", cell="a:1")]
    assert shown(bad, [step("m", cell="a:2")])[1] == (
        "  [a:1]        failed  4 steps  1.0 s  m failed, off error, s1 blocked; bad"
    )


def test_a_long_path_keeps_its_end() -> None:
    path = "a_long_folder/" * 5 + "psu"
    assert shown(green(path), width=80) == [
        "…/a_long_folder/psu.yaml          passed  2 steps  2.0 s"
    ]


@given(
    st.lists(
        st.lists(
            st.builds(
                step,
                st.text("ab 漢\u0301", max_size=40),
                st.sampled_from(["passed", "failed", "blocked", "skipped", "not run"]),
                reason=st.text("ab 漢\n\x1b", max_size=60),
                cell=st.sampled_from(["", "load:1", "load:2"]),
            ),
            min_size=1,
            max_size=4,
        ),
        max_size=4,
    ),
    st.integers(20, 200),
)
def test_no_line_is_wider_than_the_terminal(recipes: list[list[Block]], width: int) -> None:
    lines = shown(*recipes, width=width)
    assert all(display_width(line) <= width and "\x1b" not in line for line in lines)
