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
    assert f'href="/run/{OLDER}?recipe={RECIPE}#history"' in page
    assert f'name="run" value="{RUN}"' in page
    assert "1 of 2 runs passed (50 %)" in page


def test_an_empty_project_says_how_to_start(tmp_path: Path) -> None:
    from pytest_orchestrator.monitor.app import application

    with application(tmp_path / "runs", TOKEN, {"localhost"}).test_client() as client:
        client.get(f"/?token={TOKEN}")
        assert "This folder has no runs." in client.get("/").text


def test_a_recipe_leads_to_its_history_on_the_page_of_a_run(many: tuple[Any, list[str]]) -> None:
    client, ids = many
    history = client.get(f"/run/{ids[0]}?recipe={RECIPE}").text.partition('id="history"')[2]

    assert history.count('<th scope="col" class="turned') == 20
    assert history.index(f'title="{ids[19]}, ') < history.index(f'title="{ids[0]}, ')
    assert "measure" in history
    assert f'href="/run/{ids[1]}"' in history
    assert f'href="/run/{ids[1]}#{RECIPE}::measure"' in history
    former = client.get(f"/recipe?path={RECIPE}")
    assert (former.status_code, former.location) == (
        302,
        f"/run/{ids[0]}?recipe={RECIPE}#history",
    )
    unknown = client.get("/recipe?path=none.yaml")
    assert unknown.status_code == 404
    assert "No run of none.yaml was found." in unknown.text


def test_runs_whose_folders_were_deleted_stay_in_the_list(
    bench: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pytest_orchestrator.runs.history.backfill import backfill

    monkeypatch.setattr("pytest_orchestrator.monitor.run_list._LOOK", 0.0)
    assert f'href="/run/{OLDER}?recipe=' in client.get("/").text
    backfill(bench)
    shutil.rmtree(bench / OLDER)
    listed = client.get("/").text

    assert f'{OLDER}</span> <span class="quiet"' in listed
    assert "history only</span>" in listed
    assert f'href="/run/{OLDER}' not in listed
    assert f'value="{OLDER}"' not in listed


def test_cells_of_a_matrix_are_counted(bench: Path, client: Any) -> None:
    made = Built(bench, "20261126T000000Z-0003", "recipes/m.yaml[gain=1]", path="recipes/m.yaml")
    for cell in ("gain=1", "gain=2"):
        made.recipe, made.about = f"recipes/m.yaml[{cell}]", made.about | {"cell": cell}
        made.begin("flash").step("flash")
    made.seal()

    assert "psu</a> \N{MULTIPLICATION SIGN} 2" in client.get("/").text
