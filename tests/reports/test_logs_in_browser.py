"""Logs in a browser: links to lines, also without scripts, and the search in a log."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.house.browser import Opened, browser
from tests.reports.sample_run import RECIPE, SampleRun

pytestmark = pytest.mark.nightly

LINES = 400
TARGET = f"L1e{LINES - 60}"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = SampleRun(tmp_path_factory.mktemp("run") / "run")
    run.begin({"a": []})
    text = "".join(f"line {number} {'.' * 60}\n" for number in range(1, LINES + 1))
    run.step("a", "failed", (0, 9), logs={"stderr": run.log("a.1.stderr", text)}, text="E   exit")
    run.seal(1)
    file = run.folder / "report.html"
    file.write_text(html(load_record(run.folder), run.folder), encoding="utf-8")
    return file


@pytest.mark.parametrize("js", [True, False])
def test_a_link_to_a_line_shows_and_marks_it_after_a_reload_too(
    page: Path, chromium: Browser, js: bool
) -> None:
    shown = Opened(chromium, page, "light", 1200, js=js)

    shown.page.goto(f"{page.resolve().as_uri()}#{TARGET}")
    line = shown.page.locator(f"i[id={TARGET}]")
    line.wait_for()
    shown.page.reload()
    line.wait_for()
    box = line.bounding_box()
    marked = shown.page.locator("i:target").inner_text()
    shown.close()

    assert marked.startswith(f"line {LINES - 60} ")
    assert box
    assert 0 <= box["y"] < 900
    assert shown.errors == []


def test_a_click_on_a_number_makes_the_address_of_its_line(page: Path, chromium: Browser) -> None:
    shown = Opened(chromium, page, "light", 1200, js=True)

    shown.page.locator(f"[id='{RECIPE}::a'] summary").first.click()
    shown.page.locator(f"i[id=L1e{LINES}] a").click()
    address = shown.page.url.partition("#")[2]
    copied = shown.page.locator("pre.output code").inner_text()
    shown.close()

    assert address == f"L1e{LINES}"
    assert f"\nline {LINES} " in copied  # a copy of the text has no numbers


def test_a_search_in_a_log_sifts_its_lines_and_a_partial_log_links_to_its_file(
    page: Path, chromium: Browser
) -> None:
    shown = Opened(chromium, page, "light", 1200, js=True)
    shown.page.locator(f"[id='{RECIPE}::a'] summary").first.click()
    log = shown.page.locator(".log")

    log.locator("input").fill("line 39")
    found = log.locator("i:visible").all_inner_texts()
    head = log.locator("p").inner_text()
    link = log.locator("p a").get_attribute("href")
    shown.close()

    assert [int(one.split()[1]) for one in found] == [239, 339, *range(390, 400)]
    assert head.startswith("stderr first 4 kB and last 12 kB of 28 kB, open all 12 of ")
    assert link == "logs/psu_burn_in/a.1.stderr"
