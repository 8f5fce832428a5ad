"""The monitor in a browser, while a session is running."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.runs import lookup
from tests.house.browser import browser
from tests.monitor.conftest import RUN
from tests.monitor.live_monitor import Monitor
from tests.runs.built import Built

pytestmark = pytest.mark.nightly

LATER = "20261126T000000Z-0003"
EVIL = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"

_RECIPE = """
name: bench
steps:
  - name: poll
    type: python
    module: bench
    function: poll
  - name: report
    type: shell
    cmd: echo '{"status":"ok"}'
    needs: [poll]
"""
_BENCH = """
import time
from pathlib import Path


def poll(ctx, params):
    ctx.set("cdu.serial_v1", "A17")
    held, number = [], 0
    while not Path("go").exists():
        number += 1
        print(f"reading {number}", flush=True)
        held.append("x" * 50_000)
        time.sleep(0.02)
    ctx.set("cdu.serial_v1", "A18")
    return {"status": "ok"}
"""
# Selectors of the elements that show the ends of both steps and of the run.
_END_SELECTORS = (
    "#steps .ag-row[row-id$='::poll']",
    "#steps .ag-row[row-id$='::report']",
    "#bar .badge",
)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started_browser:
        yield started_browser


OpenMonitor = Callable[[Path], Monitor]


@pytest.fixture
def open_monitor(chromium: Browser) -> Iterator[OpenMonitor]:
    opened: list[Monitor] = []

    def start(base: Path) -> Monitor:
        opened.append(Monitor(base, chromium))
        return opened[-1]

    yield start
    for one in opened:
        one.close()


@pytest.fixture
def session(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a session whose first step runs until a file ``go`` exists."""
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "bench.yaml").write_text(_RECIPE, encoding="utf-8")
    (tmp_path / "bench.py").write_text(_BENCH, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:dash\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "recipes"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as started:
        yield started
        started.kill()


def end_times(base: Path) -> list[float]:
    """Return the times at which the steps of the only run, and the run itself, have ended."""
    (folder,) = lookup.run_folders(base)
    run = lookup.load_record(folder)
    return [
        epoch_seconds(timestamp or "")
        for timestamp in (*(step.finished for step in run.steps), run.last)
    ]


def test_browser_follows_a_run_from_its_first_step_to_its_end(
    session: subprocess.Popen[bytes], tmp_path: Path, open_monitor: OpenMonitor
) -> None:
    monitor = open_monitor(tmp_path / ".orchestrator" / "runs")
    page = monitor.page
    page.locator("#runs .ag-row .link").first.click()
    monitor.tab("Steps")
    expect(page.locator(_END_SELECTORS[0])).to_contain_text("running")
    expect(page.locator(_END_SELECTORS[1])).to_contain_text("waiting")

    monitor.tab("Context")
    expect(page.locator("#context .ag-row:has-text('cdu.serial_v1')")).to_contain_text("A17")
    monitor.tab("Log")
    expect(page.locator("#log-stdout")).to_contain_text("reading 9")
    lines = "() => document.querySelector('#log-stdout').innerText.split('reading').length"
    page.wait_for_function(f"before => ({lines})() > before", arg=page.evaluate(lines))
    monitor.tab("Timeline")
    page.locator("#timeline .bars .point path").first.click(force=True)
    expect(page.locator("#drawer h2")).to_have_text("poll")
    monitor.tab("Resources")
    points = "() => (document.querySelector('#curves .js-line')?.getAttribute('d') ?? '').length"
    page.wait_for_function(f"before => ({points})() > before", arg=page.evaluate(points))

    monitor.tab("Steps")
    expect(page.locator("#steps .ag-row-selected")).to_contain_text("poll")
    monitor.record(dict.fromkeys(_END_SELECTORS, "passed"))
    (tmp_path / "go").touch()
    out, _ = session.communicate()
    assert b"2 passed" in out
    for place in _END_SELECTORS:
        expect(page.locator(place)).to_contain_text("passed")
    # An event may miss one request while it is written to disk, and one while it is drawn.
    ends = end_times(tmp_path / ".orchestrator" / "runs")
    requests = [
        monitor.requests_until(place, end) for place, end in zip(_END_SELECTORS, ends, strict=True)
    ]
    assert max(requests) <= 3, requests

    page.reload()
    monitor.tab("Context")
    row = page.locator("#context .ag-row:has-text('cdu.serial_v1')")
    expect(row).to_contain_text("A18")
    row.click()
    expect(page.locator("#key-history tbody tr")).to_have_count(2)
    page.locator("#as-of [role=slider]").press("ArrowLeft")
    page.locator("#as-of [role=slider]").press("ArrowLeft")
    expect(page.locator("#as-of-text")).to_contain_text("Before the end of the first step")
    expect(row).to_have_count(0)
    assert monitor.errors == []


def test_step_selected_in_the_graph_is_selected_in_all_tabs(
    bench: Path, open_monitor: OpenMonitor
) -> None:
    monitor = open_monitor(bench)
    page = monitor.page
    monitor.open(RUN)
    expect(page.locator("#bar .badge")).to_have_text("! interrupted (killed)")
    page.locator("#graph canvas").first.wait_for()
    expect(page.locator("#drawer h2")).to_have_count(0)
    at = page.evaluate(
        "() => document.querySelector('#graph')._cyreg.cy.$('#measure').renderedPosition()"
    )
    page.locator("#graph").click(position=at)

    expect(page.locator("#drawer h2")).to_have_text("measure")
    monitor.tab("Steps")
    expect(page.locator("#steps .ag-row-selected")).to_contain_text("measure")
    expect(page.locator("#steps .ag-row-selected")).to_contain_text("interrupted")
    monitor.tab("Timeline")
    page.locator("#timeline .bars .point path[style*='rgb(217, 70, 239)']").first.wait_for()
    shutil.rmtree(bench / RUN)
    expect(page.locator("#run-foot")).to_contain_text("its folder was deleted")
    expect(page.locator("#drawer h2")).to_have_text("measure")
    assert monitor.errors == []


def test_page_keeps_updating_when_replies_are_late(bench: Path, open_monitor: OpenMonitor) -> None:
    built = Built(bench, LATER).begin("flash")
    monitor = open_monitor(bench)
    monitor.open(LATER, "Steps")
    expect(monitor.page.locator("#steps .ag-row")).to_contain_text("waiting")
    monitor.late = 1.3  # longer than the interval between two requests
    built.start("flash")

    expect(monitor.page.locator("#steps .ag-row")).to_contain_text("running")
    built.cut()


def test_markup_in_a_run_is_not_executed(tmp_path: Path, open_monitor: OpenMonitor) -> None:
    built = Built(tmp_path, RUN, EVIL, name=EVIL, test_meta={"dut": EVIL})
    built.begin(EVIL, "plain")
    built.change(EVIL, f"a.{EVIL}", EVIL)
    built.start(EVIL)
    built.finish(EVIL, "failed", reason=EVIL, kind=EVIL, measured={EVIL: 1.0})
    built.seal(1)
    monitor = open_monitor(tmp_path)
    page = monitor.page
    monitor.open(RUN, "Steps")
    page.locator("#steps .ag-row").first.click()
    expect(page.locator("#drawer h2")).to_have_text(EVIL)
    for tab in ("Graph", "Timeline", "Context", "Resources", "Measurements", "Log"):
        monitor.tab(tab)
        page.locator("#pane > *").first.wait_for()
        if tab == "Context":
            page.locator("#context .ag-row").last.click()
            expect(page.locator("#key-history h3")).to_contain_text("<script>")

    assert page.title() != "owned"
    assert page.locator("img[src=x]").count() == 0
    assert monitor.errors == []
