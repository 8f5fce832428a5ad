"""Log, Context, comparison and files in a browser: by keyboard, live, without a script."""

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.house.browser import browser
from tests.monitor.conftest import OLDER, RUN
from tests.monitor.live_monitor import Monitor
from tests.runs.built import RECIPE, Built

pytestmark = pytest.mark.nightly

LIVE = "20261127T000000Z-0004"
LINES = "".join(f"line {number}\n" for number in range(1, 3001))


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def monitor(bench: Path, chromium: Browser) -> Iterator[Monitor]:
    """Return a monitor whose pages must have no error."""
    opened = Monitor(bench, chromium)
    yield opened
    opened.close()
    assert opened.errors == []


def gap(page: Page) -> float:
    """Return the distance of a log from its end in pixels."""
    box = "document.querySelector('.log-lines')"
    left: float = page.evaluate(f"{box}.scrollHeight - {box}.scrollTop - {box}.clientHeight")
    return left


def test_a_log_is_followed_at_its_end_until_the_reader_scrolls(
    bench: Path, monitor: Monitor
) -> None:
    built = Built(bench, LIVE).begin("flash")
    built.start("flash")
    path = built.write("logs/psu/flash.1.stdout", LINES)
    page = monitor.open(f"/run/{LIVE}/log")

    expect(page.locator("#L3000")).to_be_visible()
    assert gap(page) < 5
    with path.open("a") as file:
        file.write("more\n" * 50)
    expect(page.locator("#L3050")).to_be_attached()
    assert gap(page) < 5
    page.evaluate("document.querySelector('.log-lines').scrollTop = 0")
    version = page.locator("html").get_attribute("data-version") or ""
    with path.open("a") as file:
        file.write("last\n")
    expect(page.locator("html")).not_to_have_attribute("data-version", version)
    assert page.evaluate("document.querySelector('.log-lines').scrollTop") == 0
    assert page.locator(".line").first.get_attribute("id") == "L2051"
    page.evaluate("document.querySelector('.log-lines').scrollTop = 1e6")
    expect(page.locator("#L3051")).to_be_attached()
    assert gap(page) < 5


def test_a_search_by_keyboard_leads_to_lines_with_permalinks(bench: Path, monitor: Monitor) -> None:
    built = Built(bench, LIVE).begin("flash")
    built.start("flash")
    built.write("logs/psu/flash.1.stdout", LINES)
    page = monitor.open(f"/run/{LIVE}/log?step={RECIPE}::flash")

    page.keyboard.press("/")
    page.keyboard.type("LINE 12")
    expect(page.locator(".hits > p")).to_contain_text("111 lines match")
    page.get_by_text("Next match").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#L120.chosen")).to_be_visible()
    link = page.evaluate("location.href")
    other = monitor.another_page(js=False)
    other.goto(link)
    expect(other.locator("#L120.chosen")).to_be_in_viewport()
    assert other.locator(".hits li").count() == 100


def test_heads_of_the_list_of_runs_are_above_their_columns(monitor: Monitor) -> None:
    monitor.open("/")
    lefts = "row => [...row.cells].map((cell) => Math.round(cell.getBoundingClientRect().left))"
    heads, cells = (
        monitor.page.locator(f".run-table {part} tr").first.evaluate(lefts)
        for part in ("thead", "tbody")
    )

    assert heads == cells
    assert heads[0] >= 0


def test_times_of_a_running_step_do_not_depend_on_the_clock_of_the_browser(
    bench: Path, monitor: Monitor
) -> None:
    live = Built(bench, LIVE, start=time.time_ns() // 1000).begin("flash")
    live.start("flash")
    monitor.page.add_init_script("const now = Date.now; Date.now = () => now() + 6e5;")
    monitor.open(f"/run/{live.folder.name}")

    expect(monitor.page.locator(".now .since").first).to_have_text(re.compile(r"^\d{1,2}\.\d s$"))
    live.cut()


def test_two_ticked_runs_are_compared(monitor: Monitor) -> None:
    page = monitor.open("/")

    for run in (RUN, OLDER):
        page.get_by_label(f"Select run {run}").focus()
        page.keyboard.press("Space")
    page.get_by_role("button", name="Compare selected").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Run comparison")).to_be_visible()
    expect(page.get_by_label("Run A")).to_contain_text(OLDER)


def test_a_page_of_a_run_cannot_act_in_the_name_of_the_monitor(
    bench: Path, chromium: Browser
) -> None:
    script = "<p id=out>none</p><script>document.getElementById('out').textContent={}</script>"
    for name in ("page.html", "report.html"):
        (bench / RUN / name).write_text(script.format("self.origin"))
    # Not the fixture: the browser reports blocked scripts as errors.
    opened = Monitor(bench, chromium)
    try:
        page = opened.open(f"/run/{RUN}/file/page.html")
        expect(page.locator("#out")).to_have_text("none")
        page = opened.open(f"/run/{RUN}/file/report.html")
        expect(page.locator("#out")).to_have_text("null")
    finally:
        opened.close()
