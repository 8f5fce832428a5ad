"""Context tab: values at any moment, the tree over pages, the history of a key."""

from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.monitor.address import Address
from pytest_orchestrator.monitor.pages import context
from pytest_orchestrator.monitor.pages.context import Row
from pytest_orchestrator.monitor.run_cache import RunCache
from tests.monitor.conftest import RUN as KILLED
from tests.runs.built import RECIPE, Built

RUN = "20261127T000000Z-0004"


def content(base: Path, run: str = RUN, **fields: Any) -> context.Content:
    return RunCache(base).read(
        run, lambda view: context.content(view, Address(run, "context", **fields))
    )


def values(shown: context.Content) -> dict[str, str]:
    return {row.name: row.value for row in shown.part.rows if row.key}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return the folder of a run with keys of the session and of a recipe's own Context."""
    made = Built(tmp_path, RUN).begin("flash", "measure")
    made.start("flash")
    made.change("flash", "dut.serial", "A17")
    made.change("flash", "dut.rev", 1)
    made.finish("flash")
    made.start("measure")
    made.change("measure", "dut.rev", 2)
    made.change("measure", "dut.old", None, op="delete")
    made.change("measure", "limits", {"low": 1}, scope=RECIPE)
    made.change("", "who", "<b>")
    made.finish("measure")
    made.seal()
    return tmp_path


def test_values_are_those_after_the_chosen_step(bench: Path) -> None:
    assert values(content(bench, KILLED)) == {"dut.serial_v1": "A18"}
    assert values(content(bench, KILLED, at="1")) == {"dut.serial_v1": "A17"}
    assert values(content(bench, KILLED, at="0")) == {"dut.serial_v1": "A17"}  # written before it
    assert content(bench, KILLED, at="1").moment == "After step 1 of 1: flash"
    assert content(bench, KILLED, at="7").at is None
    assert content(bench, KILLED, at="x").moment == "At the end of the run"


def test_the_keys_are_a_tree_with_the_step_of_the_last_change(built: Path) -> None:
    shown = content(built)

    assert [(row.name, row.level, row.value, row.mark) for row in shown.part.rows] == [
        ("dut", 0, "", ""),
        ("serial", 1, "A17", ""),
        ("rev", 1, "2", ""),
        ("old", 1, "", "deleted"),
        ("who", 0, "<b>", ""),
        (f"Context of {RECIPE}", 0, "", ""),
        ("limits", 1, '{"low": 1}', ""),
    ]
    assert (shown.part.rows[2].who, shown.part.rows[2].step) == ("measure", f"{RECIPE}::measure")
    assert (shown.keys, shown.every) == (5, 5)


def test_keys_that_the_chosen_step_changed_are_marked(built: Path) -> None:
    marked = {row.name: row.mark for row in content(built, at="2").part.rows if row.key}

    assert marked == {"serial": "", "rev": "recent", "who": "recent", "limits": "recent"}


def test_search_and_recipe_choose_keys_and_the_rest_is_counted(built: Path) -> None:
    assert values(content(built, q="a17")) == {"dut.serial": "A17"}
    assert values(content(built, q="DUT measure")) == {"rev": "2", "old": ""}
    of_recipe = content(built, recipe=RECIPE)
    assert values(of_recipe) == {"serial": "A17", "rev": "2", "old": "", "limits": '{"low": 1}'}
    assert (of_recipe.keys, of_recipe.every) == (4, 5)


def test_a_page_of_many_keys_begins_with_the_branches_above_it(tmp_path: Path) -> None:
    made = Built(tmp_path, RUN).begin("flash")
    for number in range(700):
        made.change("flash", f"cal.ch{number // 350}.p{number}", number)
    made.cut()
    last = content(tmp_path, page=3)

    assert last.trail == [Row("cal", 0), Row("ch1", 1)]
    assert (last.part.first, last.part.last, last.part.total) == (601, 703, 703)
    assert last.part.rows[-1].value == "699"


def test_the_history_of_a_key_is_shown_newest_first_and_can_be_shown_whole(tmp_path: Path) -> None:
    made = Built(tmp_path, RUN).begin("flash")
    for number in range(60):
        made.change("flash", "count", number)
    made.change("flash", "count", 1, scope=RECIPE)
    made.cut()

    last = content(tmp_path, key="count").history
    assert last is not None
    assert [(one.old, one.new) for one in last.changes[:2]] == [("58", "59"), ("57", "58")]
    assert (len(last.changes), last.left_out, last.can_show_more) == (50, 10, True)
    whole = content(tmp_path, key="count", state="all").history
    assert whole is not None
    assert (len(whole.changes), whole.left_out) == (60, 0)
    own = content(tmp_path, key=f"{RECIPE}::count").history
    assert own is not None
    assert (own.scope, own.changes[0].old, own.changes[0].new) == (RECIPE, "59", "1")
    assert content(tmp_path, key="../x").history is None


def test_the_page_links_steps_and_works_without_a_script(bench: Path, client: Any) -> None:
    page = client.get(f"/run/{KILLED}/context?at=1&key=dut.serial_v1").text

    assert f'href="/run/{KILLED}?step={RECIPE}::flash">flash</a>' in page
    assert f'href="/run/{KILLED}/context?key=dut.serial_v1&amp;at=0">Step back</a>' in page
    assert 'aria-label="History of dut.serial_v1"' in page
    assert "<noscript><button>Show</button></noscript>" in page
