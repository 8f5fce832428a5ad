"""Graph, timeline and resources of a live run in a browser."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pytest_orchestrator.core.events import RecipeStarted, StepStarted
from tests.house.browser import browser
from tests.monitor.live_monitor import Monitor
from tests.runs.built import Built

pytestmark = pytest.mark.nightly

ROW = 40
_TIMEOUT_MS = 60_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def run(tmp_path: Path) -> Built:
    """Return a live run of a row of steps, the first of which runs."""
    now = time.time_ns() // 1000 - 2_000_000
    built = Built(tmp_path / "runs", "20261126T000000Z-0003", start=now)
    steps = tuple(
        {"name": f"s{place}", "index": place, "needs": [f"s{place - 1}"] if place else []}
        for place in range(ROW)
    )
    built.add(RecipeStarted(recipe=built.recipe, about=built.about, steps=steps))
    start(built, "s0")
    return built


def start(built: Built, step: str) -> None:
    built.add(StepStarted(recipe=built.recipe, step=step))
    built.moment = time.time_ns() // 1000


@contextmanager
def opened(chromium: Browser, built: Built, tab: str) -> Iterator[Page]:
    """Serve the run, and yield a page with one of its tabs; the page must have no error."""
    monitor = Monitor(built.folder.parent, chromium)
    try:
        yield monitor.open(f"/run/{built.folder.name}/{tab}")
        assert monitor.errors == []
    finally:
        monitor.close()


def test_zoom_and_position_of_the_graph_stay_while_the_run_goes_on(
    chromium: Browser, run: Built
) -> None:
    def place(page: Page) -> Any:
        return page.evaluate("""() => {
            const box = document.querySelector(".graph-pan");
            return [box.scrollLeft, box.scrollTop, document.getElementById("zoomed").textContent];
        }""")

    with opened(chromium, run, "graph") as page:
        page.locator(".graph-pan").focus()
        for _ in range(3):
            page.keyboard.press("+")
        page.evaluate("document.querySelector('.graph-pan').scrollTo(120, 90)")
        before = place(page)
        assert before == [120, 90, "195 %"]
        expect(page.locator("canvas.mini")).to_be_visible(timeout=_TIMEOUT_MS)
        run.finish("s0")
        start(run, "s1")
        running = page.locator(".wide-sheet .box.running")
        expect(running).to_contain_text("s1", timeout=_TIMEOUT_MS)
        assert place(page) == before
        assert page.evaluate("document.activeElement.className") == "graph-pan"
        page.keyboard.press("0")
        width = "document.querySelector('.wide-sheet').getBoundingClientRect().width"
        room = "document.querySelector('.graph-pan').clientWidth"
        assert page.evaluate(f"Math.abs({width} - {room}) <= 1")


def test_node_of_the_graph_opens_its_step(chromium: Browser, run: Built) -> None:
    with opened(chromium, run, "graph") as page:
        page.locator(".wide-sheet a", has_text="s0").first.click()
        expect(page.locator("#drawer h2")).to_have_text("s0", timeout=_TIMEOUT_MS)
        assert page.url.endswith("/graph?step=recipes/psu.yaml::s0")
        page.go_back()
        expect(page.locator("#drawer")).to_have_count(0, timeout=_TIMEOUT_MS)


def test_text_of_the_graph_has_at_least_eleven_pixels(chromium: Browser, run: Built) -> None:
    with opened(chromium, run, "graph") as page:
        for width in (1400, 390):
            page.set_viewport_size({"width": width, "height": 800})
            least = page.evaluate("""() => {
                const all = [...document.querySelectorAll("svg.graph")];
                const svg = all.find((one) => one.clientWidth);
                const scale = svg.clientWidth / svg.viewBox.baseVal.width;
                const size = (one) => parseFloat(getComputedStyle(one).fontSize);
                const sizes = [...svg.querySelectorAll("text")].map(size);
                return scale * Math.min(...sizes);
            }""")
            assert least >= 11
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_bars_of_running_steps_grow_without_an_event(chromium: Browser, run: Built) -> None:
    run.finish("s0")
    start(run, "s1")
    with opened(chromium, run, "timeline") as page:
        share = """() => {
            const bar = document.querySelector(".span.running"), track = bar.closest(".track");
            return bar.getBoundingClientRect().width / track.getBoundingClientRect().width;
        }"""
        before = page.evaluate(share)
        deadline = time.monotonic() + _TIMEOUT_MS / 1000
        while page.evaluate(share) < before + 0.02:  # the page allows no code from texts
            assert time.monotonic() < deadline
            page.wait_for_timeout(100)


def test_present_usage_of_a_running_step_appears(chromium: Browser, run: Built) -> None:
    with opened(chromium, run, "resources") as page:
        expect(page.locator("#live-head")).to_be_visible(timeout=_TIMEOUT_MS)
        line = '{"seconds": %s, "rss": 40000000, "cpu_seconds": %s}\n'
        run.write("resources/psu/s0.1.jsonl", line % (1, 0.5) + line % (2, 1.5))
        row = page.locator("#live-head ~ div tbody tr")
        expect(row.locator(".of-memory")).to_have_text("40.0", timeout=_TIMEOUT_MS)
        expect(page.locator(".plot a.running")).to_have_count(2, timeout=_TIMEOUT_MS)
