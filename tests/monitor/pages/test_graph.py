"""Graph tab."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import RecipeStarted
from tests.monitor.pages.opened import opened
from tests.runs.built import Built, Runs

ROW = 60
MANY = 1_200


def chain(built: Built, number: int, failed: int) -> Built:
    """Write a recipe whose steps are a row, one of which failed."""
    names = [f"step_{place:04d}" for place in range(number)]
    steps = tuple(
        {"name": name, "index": place, "needs": names[place - 1 : place] if place else []}
        for place, name in enumerate(names)
    )
    final = {"name": "power_off", "index": number, "final": True}
    built.add(RecipeStarted(recipe=built.recipe, about=built.about, steps=(*steps, final)))
    for place, name in enumerate(names[:failed]):
        built.finish(name, seconds=0.5, needs=names[max(0, place - 1) : place])
    return built.step(names[failed], "failed", seconds=0.2, needs=[names[failed - 1]])


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[[str], str], str]:
    """Return a client and the URL of the graph of a run with two recipes, one of them failed."""
    base = tmp_path_factory.mktemp("row")
    built = Built(base, "20261125T101502Z-7f3a", "recipes/ok.yaml").begin("only").step("only")
    built.recipe, built.about = "recipes/row.yaml", {"name": "Row", "path": "recipes/row.yaml"}
    return opened(base), f"/run/{chain(built, ROW, 41).cut().name}/graph"


def test_graph_shows_the_recipe_that_did_not_pass_with_its_legend(
    row: tuple[Callable[[str], str], str],
) -> None:
    get, url = row
    page = get(url)

    assert "<h2>Row " in page
    assert "one of 2 recipes" in page
    assert "<span>✔ passed</span> <span>✘ failed</span>" in page
    assert "━ critical path" in page
    assert "▣ several steps in one box" in page
    assert "step_0000 &gt; step_0001 &gt; step_0002 &gt; … 36 more … &gt;" in page


def test_graph_folds_a_long_row_and_draws_each_step_on_request(
    row: tuple[Callable[[str], str], str],
) -> None:
    get, url = row
    folded = get(f"{url}?recipe=recipes/row.yaml")
    whole = get(f"{url}?recipe=recipes/row.yaml&key=all")

    assert "57 of 61 steps are folded" in folded
    assert f'href="{url}?recipe=recipes/row.yaml&amp;key=all">Draw each step' in folded
    assert whole.count('class="box ') == 2 * (ROW + 1)  # of wide and of narrow screens


def test_nodes_and_list_choose_a_step(row: tuple[Callable[[str], str], str]) -> None:
    get, url = row
    page = get(url)
    link = f'href="{url}?step=recipes/row.yaml::step_0041"'

    assert re.search(f"<a {re.escape(link)}[^>]*><g", page)
    assert f'<a class="row-link" {link}>step_0041</a>' in page
    assert "needs step_0040" in page
    chosen = get(f"{url}?step=recipes/row.yaml::step_0041")
    assert 'class="box failed critical picked"' in chosen
    assert f'{link} aria-current="true"' in chosen
    assert 'data-graph="recipes/row.yaml 1 3 False"' in chosen  # there is less room


def test_graph_of_the_chosen_recipe_is_shown(row: tuple[Callable[[str], str], str]) -> None:
    get, url = row

    assert "<h2>psu " in get(f"{url}?recipe=recipes/ok.yaml")


def test_graph_of_many_steps_has_parts_and_leads_to_the_failure(tmp_path: Path) -> None:
    run = chain(Runs(tmp_path).new(), MANY, 700).cut()
    get, url = opened(run.parent), f"/run/{run.name}/graph"
    first, second = get(url), get(f"{url}?page=2")

    assert "steps 1 to 500 of 1,201" in first
    assert f'<a href="{url}?page=2">Go to step_0700</a>' in first
    assert "Go to" not in second
    assert "step_0499" not in re.findall("<h2>.*", second)[0]


def test_graph_without_a_recipe_says_so(tmp_path: Path) -> None:
    run = Runs(tmp_path).new().cut()

    assert "No recipe has started yet." in opened(run.parent)(f"/run/{run.name}/graph")


def test_steps_that_are_not_selected_do_not_look_as_if_they_waited(tmp_path: Path) -> None:
    built = Runs(tmp_path).new()
    steps: Any = ({"name": "one", "index": 0}, {"name": "two", "index": 1})
    event = RecipeStarted(recipe=built.recipe, about=built.about, steps=steps, unselected=("two",))
    built.add(event)
    page = opened(built.folder.parent)(f"/run/{built.folder.name}/graph")

    assert "<title>two: · not selected</title>" in page
    assert "<title>one: · waiting</title>" in page


def test_steps_left_out_of_a_picture_are_counted(tmp_path: Path) -> None:
    built = Runs(tmp_path).new().begin(*[f"s{number}" for number in range(400)])
    for number in range(400):
        built.finish(f"s{number}", "failed" if number % 2 else "passed")
    run = built.cut()
    get, url = opened(run.parent), f"/run/{run.name}/graph"

    assert "Showing 150 of 400 steps, failed ones first." in get(url)
    assert get(f"{url}?key=all").count('class="box ') == 2 * 400
