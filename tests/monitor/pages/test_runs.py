"""Pages of all runs and of one recipe."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.monitor.conftest import OLDER, RUN
from tests.monitor.live_monitor import TOKEN
from tests.runs.built import RECIPE, Built, Runs


@pytest.fixture
def many(tmp_path: Path) -> Iterator[tuple[Any, list[str]]]:
    """Return a client of 140 runs, and their ids, newest first."""
    from pytest_orchestrator.monitor.app import application

    runs, ids = Runs(tmp_path), []
    for number in range(140):
        meta = {"dut": f"SN{number:03d}", "test_id": f"T{number % 7}", "operator": "Kim"}
        built = runs.new(test_meta=meta).begin("flash", "measure")
        built.step("flash", "failed" if number == 5 else "passed")
        built.step("measure", **({"reruns": 1} if number == 139 else {}))
        ids.append(built.seal(int(number == 5)).name)
    with application(runs.base, TOKEN, {"localhost"}).test_client() as client:
        client.get(f"/?token={TOKEN}")
        yield client, ids[::-1]


def test_all_runs_can_be_searched_filtered_and_sorted(many: tuple[Any, list[str]]) -> None:
    client, ids = many

    def listed(query: str = "") -> list[str]:
        page = client.get(f"/{query}").text
        return [one for one in ids if f'<tr id="run-{one}">' in page]

    assert listed() == ids[:100]
    assert listed("?page=2") == ids[100:]
    assert "101 to 140 of 140 runs" in client.get("/?page=2").text
    assert "139 of 140 runs passed (99 %)" in client.get("/").text
    assert listed("?q=sn003") == [ids[136]]  # older than those of the first page
    assert "20 of 20 runs passed" in client.get("/?q=t6+kim").text
    assert listed("?state=failed") == [ids[134]]
    assert listed("?sort=dut&page=2") == ids[:40]
    assert listed("?sort=nothing") == ids[:100]
    assert "No run matches." in client.get("/?q=nothing").text


def test_the_list_shows_each_run_with_its_unit_and_links(client: Any) -> None:
    page = client.get("/").text

    assert f'<a class="row-link run-id" href="/run/{OLDER}">{OLDER}</a>' in page
    assert f'href="/recipe?path={RECIPE}"' in page
    assert f'name="run" value="{RUN}"' in page
    assert "1 of 2 runs passed (50 %)" in page


def test_an_empty_project_says_how_to_start(tmp_path: Path) -> None:
    from pytest_orchestrator.monitor.app import application

    with application(tmp_path / "runs", TOKEN, {"localhost"}).test_client() as client:
        client.get(f"/?token={TOKEN}")
        assert "This folder has no runs." in client.get("/").text


def test_a_recipe_has_a_grid_of_its_steps_in_its_runs(many: tuple[Any, list[str]]) -> None:
    client, ids = many
    page = client.get(f"/recipe?path={RECIPE}").text

    assert "140 runs, 139 of 140 passed (99 %)" in page
    assert page.count('class="of-run"') == 30
    assert f'href="/run/{ids[0]}?step={RECIPE}::measure"' in page.replace("%3A", ":")
    assert "⇄ flaky" in page
    assert page.index(f'title="{ids[29]}, ') < page.index(f'title="{ids[0]}, ')
    assert "1 to 30 of 140 runs" in page
    last = client.get(f"/recipe?path={RECIPE}&page=5").text
    assert f"flash in {ids[134]}: failed" in last
    assert "No run of none.yaml was found." in client.get("/recipe?path=none.yaml").text


def test_runs_whose_folders_were_deleted_stay_in_list_and_grid(
    bench: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_orchestrator.runs.history.backfill import backfill

    monkeypatch.setattr("pytest_orchestrator.monitor.run_list._LOOK", 0.0)
    grid = client.get(f"/recipe?path={RECIPE}").text
    assert f'href="/run/{OLDER}?step=' in grid
    backfill(bench)
    shutil.rmtree(bench / OLDER)
    listed = client.get("/").text
    grid = client.get(f"/recipe?path={RECIPE}").text

    assert f'{OLDER}</span> <span class="quiet"' in listed
    assert "history only</span>" in listed
    assert f'href="/run/{OLDER}' not in listed + grid
    assert f'value="{OLDER}"' not in listed
    assert "2 runs, 1 of 2 passed" in grid
    assert f"flash in {OLDER}: passed" in grid


def test_the_grid_of_ended_runs_is_read_from_the_history(
    many: tuple[Any, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    client, _ = many

    def grid() -> str:
        return str(client.get(f"/recipe?path={RECIPE}&page=2").text.partition("<main")[2])

    monkeypatch.setattr("pytest_orchestrator.monitor.recipe_history._MAX_CACHED", 0)
    first = grid()  # writes the files of these runs
    monkeypatch.setattr("pytest_orchestrator.runs.lookup.load_record", None)

    assert "passed" in first
    assert grid() == first


def test_the_grid_of_a_matrix_has_a_row_for_each_step_of_a_cell(bench: Path, client: Any) -> None:
    made = Built(bench, "20261126T000000Z-0003", "recipes/m.yaml[gain=1]", path="recipes/m.yaml")
    for cell in ("gain=1", "gain=2"):
        made.recipe, made.about = f"recipes/m.yaml[{cell}]", made.about | {"cell": cell}
        made.begin("flash").step("flash")
    made.seal()
    page = client.get("/recipe?path=recipes/m.yaml").text

    assert page.index("[gain=1] flash") < page.index("[gain=2] flash")
    assert "psu</a> \N{MULTIPLICATION SIGN} 2" in client.get("/").text
