"""History of recipes on a page: grid of runs and steps, and changes since the last good run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import astuple, replace

from pytest_orchestrator.reports.html.overview import Overview
from pytest_orchestrator.reports.html.page import Page
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.reports.html.test_render import Read
from tests.reports.past import copies
from tests.runs.built import RECIPE, Built

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_orchestrator.reports.history.grid import RecipeHistory
    from pytest_orchestrator.runs.history.model import PastRecipe

RUN = "20261126T000000Z-0001"
OLD, NEW = "steps:\n- gain: 1\n- off\n", "steps:\n- gain: 2\n- off\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a run whose step ``measure`` has failed, with two earlier folders."""
    base = tmp_path_factory.mktemp("project") / "runs"
    meta = {"dut": {"type": "PSU", "serial": "A17"}}
    given = {"gain": {"value": 2, "origin": "recipe"}}
    built = Built(base, RUN, sha256="1" * 64, test_meta=meta, vars=given)
    built.begin("link", "measure", "release")
    built.step("link")
    built.step("measure", "failed", reason="level low", measured={"level": 1.0}, kind="timeout")
    built.step("release", "blocked", blocked_by=f"{RECIPE}::measure")
    built.write(f"sources/{RECIPE}", NEW)
    for day in (30, 29):
        older = base / f"202610{day}T100000Z-000{31 - day}"
        older.mkdir()
        (older / "report.html").write_text("")
        (older / "sources" / "recipes").mkdir(parents=True)
        (older / "sources" / RECIPE).write_text(OLD)
    return built.seal(1)


def passed(recipe: PastRecipe, **fields: Any) -> PastRecipe:
    """Return the recipe as it passed; its steps have the digest 1."""
    steps = []
    for step in recipe.steps:
        measured = tuple(replace(one, value=5.0) for one in step.measurements)
        done = {"state": "passed", "kind": "", "reason": "", "seconds": 1.0, "attempts": 1}
        steps.append(replace(step, digest="1", measurements=measured, **done))
    return replace(recipe, verdict="passed", cause="", steps=tuple(steps), **fields)


def lost(recipe: PastRecipe) -> PastRecipe:
    """Return the recipe with the first step failed, and the others missing."""
    first = replace(recipe.steps[0], state="failed", reason="no link", digest="1")
    return replace(recipe, verdict="failed", cause="no link", steps=(first,))


def history_of(folder: Path, *edits: Callable[[PastRecipe], PastRecipe]) -> RecipeHistory:
    record = load_record(folder)
    page = Page(record, folder, "", copies(record, *edits))
    (history,) = Overview(page).histories
    return history


def test_the_grid_has_the_oldest_run_first_and_the_run_of_the_page_last(folder: Path) -> None:
    history = history_of(
        folder, passed, lost, lambda one: passed(one, test_meta={"dut": "A16"}), passed
    )

    assert [(one.run, one.dut, one.href) for one in history.columns] == [
        ("20261027T100000Z-0004", "A17", ""),
        ("20261028T100000Z-0003", "A16", ""),
        ("20261029T100000Z-0002", "A17", "../20261029T100000Z-0002/report.html"),
        ("20261030T100000Z-0001", "A17", "../20261030T100000Z-0001/report.html"),
        (RUN, "A17", ""),
    ]
    assert [one.sign for one in history.verdicts] == [*"✔✔✘✔◷"]
    assert [(row.name, [one.sign for one in row.cells], row.rate) for row in history.rows] == [
        ("link", [*"✔✔✘✔✔"], "4/5"),
        ("measure", ["✔", "✔", "", "✔", "◷"], "3/4"),
        ("release", ["✔", "✔", "", "✔", "⊘"], "3/3"),
    ]
    assert (history.summary, history.flaky) == ("5 runs, 3 passed", ["link"])
    link, measure, _ = history.rows
    anchor = f"{RECIPE}::link"
    moment = history.columns[2].moment
    assert astuple(link.cells[2]) == (
        *("✘", "failed", f"20261029T100000Z-0002, {moment}: failed: no link"),
        f"../20261029T100000Z-0002/report.html#{anchor}",
    )
    assert link.cells[0].href == ""
    assert measure.cells[4].href == f"#{RECIPE}::measure"
    assert measure.cells[4].title.endswith("timeout: level low")
    assert history.legend == ["✔ passed", "✘ failed", "◷ timeout", "⊘ blocked"]
    assert history.left_out == ""


def test_the_changes_since_the_last_good_run_have_both_values(folder: Path) -> None:
    history = history_of(
        folder,
        lost,
        lambda one: passed(one, digest="2" * 64, vars={"gain": 1}),
        passed,
        passed,
    )

    assert history.good is not None
    assert history.good.run == "20261029T100000Z-0002"
    assert [astuple(row) for row in history.changes] == [
        ("recipe text", RECIPE, f"{'2' * 12}…", f"{'1' * 12}…"),
        ("var", "gain", "1", "2"),
    ]
    assert history.difference == "@@ -1,3 +1,3 @@\n steps:\n-- gain: 1\n+- gain: 2\n - off"
    assert history.place.is_open


def test_a_recipe_that_never_passed_has_no_changes(folder: Path) -> None:
    history = history_of(folder, lost)

    assert (history.good, history.changes, history.difference) == (None, [], "")


def test_of_many_steps_those_that_did_not_always_pass_have_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"s{at:02}" for at in range(40)]
    built = Built(tmp_path, RUN).begin(*names)
    for name in names:
        built.step(name)
    folder = built.seal()

    def failing(recipe: PastRecipe) -> PastRecipe:
        states = {3: "failed", 7: "skipped", 9: "blocked"}
        steps = [
            replace(step, state=states.get(at, step.state)) for at, step in enumerate(recipe.steps)
        ]
        return replace(recipe, verdict="failed", steps=tuple(steps))

    history = history_of(folder, failing)

    assert [row.name for row in history.rows] == ["s03", "s09"]
    assert history.left_out == "38 more steps passed, or did not run, in all of these runs."
    assert not history.place.is_open
    monkeypatch.setattr("pytest_orchestrator.reports.history.grid._MOST_ROWS", 1)
    assert history_of(folder, failing).left_out == "39 more steps: the grid shows the first 1."


def test_the_page_has_the_history_without_a_script(folder: Path) -> None:
    record = load_record(folder)

    read = Read(html(record, folder, earlier=copies(record, passed, lost, passed)))
    text = " ".join(read.text.split())

    assert "4 runs, 2 passed" in text
    assert "⇄ flaky link" in text
    assert "Nothing recorded has changed since 20261030T100000Z-0001" in text
    assert f"../20261030T100000Z-0001/report.html#{RECIPE}::link" in read.all("a", "href")


def test_a_page_without_earlier_runs_has_no_history(folder: Path) -> None:
    text = html(load_record(folder), folder)

    assert 'id="history"' not in text
    assert 'href="#history"' not in text


def test_most_recipes_without_a_failure_are_counted_only(tmp_path: Path) -> None:
    run = Built(tmp_path, RUN)
    for number in range(14):
        run.recipe = f"recipes/{number}.yaml"
        run.about = {"name": f"r{number}", "path": run.recipe}
        run.begin("a").step("a", "failed" if number == 13 else "passed")
    folder = run.seal(1)
    record = load_record(folder)
    overview = Overview(Page(record, folder, "", copies(record, lambda one: one)))

    assert len(overview.histories) == 12
    assert overview.more_histories == 2
    assert overview.histories[0].place.title == "r13"
