"""The monitor in a browser: addresses, keyboard, live changes, accessibility."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final, Literal

import pytest
from playwright.sync_api import Browser, Locator, Page, Route, expect

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.runs import lookup
from tests.house.browser import axe_findings, browser
from tests.monitor.conftest import OLDER, RUN
from tests.monitor.live_monitor import Monitor, record
from tests.reports.line_run import line_run
from tests.reports.sample_run import psu_run
from tests.runs.built import Built

pytestmark = pytest.mark.nightly

LATER: Final = "20261126T000000Z-0003"
STEP: Final = "#steps .step:nth-of-type(%d)"
"""Selector of the row of a step, by its number from 1."""
EVIL: Final = (
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
)

_RECIPE = """
steps:
  - name: poll
    type: python
    module: bench
    function: poll
"""
_SHORT = """
  - {name: short_%d, type: shell, cmd: sleep 0.3, parse: text}
"""
_BENCH = """
import time
from pathlib import Path


def poll(ctx):
    ctx.set("cdu.serial_v1", "A17")
    number = 0
    while not Path("go").exists():
        number += 1
        print(f"reading {number}", flush=True)
        time.sleep(0.02)
    return {"status": "ok"}
"""

_HEARD = """
window.heard = 0;
window.EventSource = class extends EventSource {
  constructor(url) { super(url); this.addEventListener("message", () => { heard += 1; }); }
};
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def monitor(bench: Path, chromium: Browser) -> Iterator[Monitor]:
    one = Monitor(bench, chromium)
    yield one
    one.close()
    assert one.errors == []


@pytest.fixture
def session(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a session whose first step runs until a file ``go`` exists."""
    (tmp_path / "recipes").mkdir()
    text = _RECIPE + "".join(_SHORT % number for number in range(8))
    (tmp_path / "recipes" / "bench.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "bench.py").write_text(_BENCH, encoding="utf-8")
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "recipes"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as started:
        yield started
        started.kill()


def rows(page: Page) -> Locator:
    """Return the rows of the steps."""
    return page.locator("#steps .step")


def test_address_has_the_step_and_the_filter(monitor: Monitor) -> None:
    page = monitor.open("/")
    page.get_by_role("link", name=RUN).click()
    expect(page).to_have_url(f"{monitor.address}/run/{RUN}")
    page.locator(".step[data-name=measure] > .row").click()
    expect(page.locator(".step.open")).to_have_attribute("data-name", "measure")
    page.locator(".step[data-name=flash] > .row").click()
    expect(page.locator(".step.open")).to_have_attribute("data-name", "flash")
    page.get_by_role("navigation", name="Filter steps").get_by_text("passed").click()
    expect(rows(page)).to_have_count(1)
    kept = page.url

    page.reload()
    expect(rows(page)).to_have_count(1)
    expect(page.locator(".step.open .panel")).to_be_visible()
    page.go_back()
    expect(rows(page)).to_have_count(3)
    page.go_back()
    expect(page.locator(".step.open")).to_have_attribute("data-name", "measure")
    page.go_forward()
    page.go_forward()
    expect(page).to_have_url(kept)
    page.locator(".step.open > .row").click()
    expect(page.locator(".step.open")).to_have_count(0)


def test_a_link_to_a_step_of_the_graph_opens_it(monitor: Monitor) -> None:
    page = monitor.open(f"/run/{RUN}")
    page.locator("#recipes svg a", has_text="flash").first.click()

    expect(page.locator(".step.open")).to_have_attribute("data-name", "flash")
    assert "step=recipes/psu.yaml::flash" in page.url


def test_latest_run_has_an_address_of_its_own(monitor: Monitor) -> None:
    page = monitor.open("/run/latest")

    expect(page).to_have_url(f"{monitor.address}/run/{RUN}")
    expect(page).to_have_title("! interrupted: psu")
    failed = page.locator("#favicon").get_attribute("href")
    monitor.open(f"/run/{OLDER}")
    expect(page).to_have_title("✔ passed: psu")
    assert page.locator("#favicon").get_attribute("href") != failed


@pytest.mark.parametrize("width", [1400, 1000, 700, 390])
def test_the_id_of_a_run_does_not_break_in_the_list(monitor: Monitor, width: int) -> None:
    page = monitor.open("/")
    page.set_viewport_size({"width": width, "height": 900})
    lines = [
        page.get_by_role("link", name=run).evaluate("one => one.getClientRects().length")
        for run in (RUN, OLDER)
    ]

    assert lines == [1, 1]
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_run_is_read_by_keyboard_alone(monitor: Monitor) -> None:
    page = monitor.open("/")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name=RUN)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("interrupted")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".step.open")).to_have_attribute("data-name", "measure")
    page.keyboard.press("Escape")
    expect(page.locator(".step.open")).to_have_count(0)
    page.keyboard.press("k")
    page.keyboard.press("n")
    expect(page.locator(".step.open")).to_have_attribute("data-name", "measure")
    page.keyboard.press("/")
    page.keyboard.type("release")
    expect(rows(page)).to_have_count(1)
    expect(page.locator("#q")).to_be_focused()


def test_the_search_is_within_ten_tab_stops(monitor: Monitor) -> None:
    page = monitor.open(f"/run/{OLDER}")
    stops = 0
    while not page.evaluate("document.activeElement.closest('#steps')"):
        page.keyboard.press("Tab")
        stops += 1
        if stops == 1:
            page.keyboard.press("Enter")  # the link to the steps

    assert stops <= 10


def test_pages_work_without_scripts(monitor: Monitor) -> None:
    page = monitor.another_page(js=False)
    page.goto(f"{monitor.address}/run/{RUN}?q=flash")
    expect(rows(page)).to_have_count(1)
    page.locator(".step[data-name=flash] > .row").click()
    expect(page.locator(".step.open .panel")).to_be_visible()
    page.get_by_role("link", name="Whole log").click()
    expect(page.locator("h1")).to_have_text("Log")
    page.goto(f"{monitor.address}/run/{RUN}")
    page.get_by_role("link", name="Duration", exact=True).click()
    expect(rows(page).last).to_have_attribute("data-name", "flash")


def test_three_browsers_follow_a_run_to_its_verdict(
    session: subprocess.Popen[bytes], tmp_path: Path, chromium: Browser
) -> None:
    base = tmp_path / ".orchestrator" / "runs"
    while not lookup.run_folders(base):
        assert session.poll() is None
    (folder,) = lookup.run_folders(base)
    monitor = Monitor(base, chromium)
    try:
        pages = [monitor.page, monitor.another_page("dark"), monitor.another_page(width=390)]
        for page in pages:
            page.goto(f"{monitor.address}/run/{folder.name}")
            expect(rows(page).first).to_contain_text("running")
            record(page, {STEP % number: "passed" for number in range(1, 10)})
        (tmp_path / "go").touch()
        out, _ = session.communicate()
        assert b"9 passed" in out
        for page in pages:
            expect(page.locator("h1")).to_contain_text("passed")
            expect(page).to_have_title("✔ passed: bench")
            noted = page.evaluate("noted")
            steps = lookup.load_record(folder).steps
            late = [
                noted[STEP % number] - epoch_seconds(step.finished or "")
                for number, step in enumerate(steps, 1)
            ]
            assert median(late) < 5  # 0.2 s on a machine without other work
        assert monitor.errors == []
    finally:
        monitor.close()


def test_a_change_just_before_the_end_does_not_replace_the_last_state(
    bench: Path, monitor: Monitor
) -> None:
    page = monitor.page
    page.add_init_script(_HEARD)
    page.clock.install()
    page.clock.pause_at("2099-01-01")
    made = Built(bench, LATER).begin("flash")
    monitor.open(f"/run/{LATER}")
    made.start("flash")  # one line of the journal, so one request
    expect(rows(page).first).to_contain_text("running")
    heard = page.evaluate("heard")
    made.finish("flash")
    while page.evaluate("heard") == heard:  # this change waits for 300 ms of the paused clock
        pass
    made.seal()
    replies: list[Route] = []
    page.route(f"**/{LATER}", lambda route: route.abort() if replies else replies.append(route))
    with page.expect_request(f"**/{LATER}"):
        threading.Thread(target=monitor.ending.wait, args=(60,)).start()
    page.clock.run_for(300)
    replies[0].continue_()

    expect(page.locator("#ended")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("passed")
    expect(rows(page).first).to_contain_text("passed")


def test_a_deleted_run_is_said_to_be_missing(monitor: Monitor, bench: Path) -> None:
    shutil.rmtree(bench / RUN)
    reply = monitor.page.goto(f"{monitor.address}/run/{RUN}")

    assert reply is not None
    assert reply.status == 404
    expect(monitor.page.locator("main")).to_contain_text(f"No run '{RUN}'.")
    monitor.errors.clear()  # the browser reports the status


def test_markup_in_a_run_is_not_executed(tmp_path: Path, chromium: Browser) -> None:
    built = Built(tmp_path, RUN, EVIL, name=EVIL, test_meta={"dut": EVIL, EVIL: EVIL})
    built.begin(EVIL, "plain")
    built.change(EVIL, f"a.{EVIL}", EVIL)
    built.start(EVIL)
    built.finish(EVIL, "failed", reason=EVIL, kind=EVIL, measured={EVIL: 1.0})
    built.seal(1)
    monitor = Monitor(tmp_path, chromium)
    page = monitor.open(f"/run/{RUN}")
    page.locator("#steps a.row-link").first.click()
    expect(page.locator(".step.open .panel")).to_contain_text(EVIL)
    for path in (
        f"/run/{RUN}/log",
        "/",
        "/operator",
    ):
        monitor.open(path)
    assert page.title() != "owned"
    assert page.locator("img[src=x]").count() == 0
    assert monitor.errors == []
    monitor.close()


@pytest.fixture(scope="module")
def two_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a run of one unit and a run of many."""
    base = tmp_path_factory.mktemp("runs")
    psu_run(base / RUN).seal()
    line_run(base / OLDER)
    return base


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_findings(
    two_runs: Path, chromium: Browser, scheme: Literal["light", "dark"], width: int
) -> None:
    monitor = Monitor(two_runs, chromium, scheme, width)
    paths = ["/", "/?q=nothing", f"/compare?run={RUN}&run={OLDER}", "/operator", "/none"]
    paths += [f"/run/{run}{view}" for run in (RUN, OLDER) for view in ("", "/log")]
    paths += [f"/run/{RUN}?step=recipes/psu_burn_in.yaml::measure_ripple"]
    found = {path: axe_findings(monitor.open(path)) for path in paths}
    wide = {
        path
        for path in paths
        if monitor.open(path).evaluate("document.documentElement.scrollWidth") > width
    }
    monitor.close()

    assert {path: one for path, one in found.items() if one} == {}
    assert wide == set()
