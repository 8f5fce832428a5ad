"""The page of a run as it is written: in pieces, one for each step."""

from pathlib import Path

import pytest

from pytest_orchestrator.reports.html.render import html, pieces
from pytest_orchestrator.reports.views import write_page
from pytest_orchestrator.runs.lookup import load_record
from tests.reports.sample_run import RECIPE, SampleRun, psu_run


@pytest.fixture
def run(tmp_path: Path) -> SampleRun:
    made = psu_run(tmp_path / "20261125T101502Z-7f3a", png=b"\x89PNG")
    made.log("hostile.1.stdout", "<!--rows-->\n")
    made.begin({"hostile": []})
    made.step("hostile", "failed", (1, 2), given={"<!--rows-->\n": "<!--rows-->\n"})
    made.seal()
    return made


def test_a_page_that_is_written_in_pieces_is_the_whole_page(run: SampleRun) -> None:
    page = write_page(load_record(run.folder), run.folder)

    assert page.read_text(encoding="utf-8") == html(load_record(run.folder), run.folder, page)


def test_each_step_of_a_page_is_a_piece_and_is_made_when_it_is_written(run: SampleRun) -> None:
    record = load_record(run.folder)
    made = pieces(record, run.folder, run.folder / "report.html")

    first = next(made)
    record.steps[-1].attempt = 7
    steps = [one for one in made if f'id="{RECIPE}::' in one]
    assert len(steps) == len(record.steps)
    assert all(one.count('<summary class="row">') == 1 for one in steps)
    assert '<summary class="row">' not in first
    assert "attempt 7" in steps[-1]
