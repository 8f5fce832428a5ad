"""Steps tab: rows grouped by recipe, filters, and steps that were not selected."""

import re
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import RecipeStarted, StepWaits
from tests.runs.built import Built

RUN = "20261127T000000Z-0004"


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2]).split())


@pytest.fixture
def several(bench: Path) -> Built:
    """Return a run of three recipes; the second one fails."""
    made = Built(bench, RUN)
    for number in range(3):
        made.recipe = f"recipes/unit_{number}.yaml"
        made.about = {
            "name": f"Unit {number}",
            "path": made.recipe,
            "test_meta": {"dut": f"SN{number}"},
        }
        made.begin("flash", "measure").step("flash")
        if number == 1:
            made.step("measure", "failed", reason="too high", kind="criterion")
        else:
            made.step("measure")
    return made


@pytest.mark.usefixtures("several")
def test_steps_of_several_recipes_stand_below_their_recipe(client: Any) -> None:
    shown = text_of(client.get(f"/run/{RUN}/steps").text)

    assert "✔ passed Unit 0 SN0 2 steps Last runs 1 ✔ passed flash" in shown
    assert "✘ failed Unit 1 SN1 2 steps (1 failed) Last runs 3 ✔ passed flash" in shown


def test_first_failures_name_their_unit_and_cell(several: Built, client: Any) -> None:
    several.recipe = "recipes/unit_3.yaml[gain:2]"
    several.about = {"name": "Unit 3", "path": "recipes/unit_3.yaml", "cell": "gain:2"}
    several.begin("level").step("level", "failed", reason="too low", kind="criterion")
    head = " ".join(re.sub(r"<[^>]+>", " ", client.get(f"/run/{RUN}/steps").text).split())
    operator = text_of(client.get("/operator").text)

    assert "Failures: measure SN1 too high ; level Unit 3 [gain:2] too low" in head
    assert "✘ failed measure SN1 too high ✘ failed level Unit 3 [gain:2] too low" in operator


@pytest.mark.usefixtures("several")
def test_a_sorted_list_names_the_recipe_of_each_step(client: Any) -> None:
    shown = text_of(client.get(f"/run/{RUN}/steps?sort=-state").text)

    assert "Last runs" not in shown
    assert "1 ✔ passed flash recipes/unit_0.yaml" in shown


@pytest.mark.usefixtures("several")
def test_recipe_and_search_filter_the_steps(client: Any) -> None:
    of_recipe = text_of(client.get(f"/run/{RUN}/steps?recipe=recipes/unit_1.yaml").text)
    found = text_of(client.get(f"/run/{RUN}/steps?q=TOO+high").text)

    assert "unit_0" not in of_recipe
    assert "3 ✔ passed flash" in of_recipe
    assert "4 ✘ failed measure" in found
    assert "flash" not in found


def test_the_recipe_of_a_run_has_a_link_to_its_last_runs(several: Built, client: Any) -> None:
    page = client.get(f"/run/{RUN}/steps?recipe=recipes/unit_1.yaml").text

    assert 'class="last-runs" href="/recipe?path=recipes/unit_1.yaml"' in page
    assert 'class="last-runs"' not in client.get(f"/run/{RUN}/steps").text


@pytest.mark.usefixtures("several")
def test_a_failure_in_the_head_names_the_unit_under_test(client: Any) -> None:
    page = client.get(f"/run/{RUN}/tests").text

    assert '>measure</a> <span class="of">SN1</span> <span class="quiet">too high</span>' in page


def test_steps_that_were_not_selected_do_not_count(bench: Path, client: Any) -> None:
    made = Built(bench, RUN)
    steps = tuple({"name": name} for name in ("flash", "measure", "release"))
    about = {"name": "psu", "path": made.recipe}
    event = RecipeStarted(recipe=made.recipe, about=about, steps=steps, unselected=("release",))
    made.add(event)
    made.step("flash")

    live = client.get(f"/run/{RUN}/steps").text
    assert "1 of 2 steps" in live
    assert "release" not in text_of(live)
    made.step("measure").seal()
    assert "2 of 2 steps" in client.get(f"/run/{RUN}/steps").text


@pytest.mark.parametrize(("step", "state"), [("", "waiting"), ("flash", "locked")])
def test_a_wait_for_a_lock_names_the_lock_and_its_owner(
    step: str, state: str, bench: Path, client: Any
) -> None:
    made = Built(bench, RUN).begin("flash", "measure")
    made.add(StepWaits(recipe=made.recipe, step=step, lock="psu", owner="recipes/y.yaml::b"))
    shown = text_of(client.get(f"/run/{RUN}/steps").text)

    assert re.search(rf"1 \S+ {state} flash waits for psu \(held by recipes/y.yaml::b\)", shown)
    assert shown.count("waits for psu") == 1
