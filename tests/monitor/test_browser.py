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
from playwright.sync_api import Browser, Route, expect

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.monitor.pages.run import TABS
from pytest_orchestrator.runs import lookup
from tests.house.browser import axe_findings, browser
from tests.monitor.conftest import OLDER, RUN
from tests.monitor.live_monitor import Monitor, record
from tests.reports.line_run import line_run
from tests.reports.sample_run import psu_run
from tests.runs.built import Built

pytestmark = pytest.mark.nightly

LATER: Final = "20261126T000000Z-0003"
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


def test_address_has_the_tab_the_step_and_the_filter(monitor: Monitor) -> None:
    page = monitor.open("/")
    page.get_by_role("link", name=RUN).click()
    expect(page).to_have_url(f"{monitor.address}/run/{RUN}/steps")
    page.get_by_role("link", name="measure", exact=True).first.click()
    expect(page.locator("#drawer h2")).to_have_text("measure")
    page.get_by_role("tab", name="Timeline").click()
    page.get_by_role("tab", name="Steps").click()
    page.get_by_role("navigation", name="Filter steps").get_by_text("passed").click()
    expect(page.locator("table.steps tbody tr[id]")).to_have_count(1)
    kept = page.url

    page.reload()
    expect(page.locator("table.steps tbody tr[id]")).to_have_count(1)
    expect(page.locator("#drawer h2")).to_have_text("measure")
    page.go_back()
    expect(page.locator("table.steps tbody tr[id]")).to_have_count(3)
    page.go_back()
    expect(page.get_by_role("tab", name="Timeline")).to_have_attribute("aria-selected", "true")
    page.go_forward()
    page.go_forward()
    expect(page).to_have_url(kept)
    with page.context.expect_page() as opened:
        page.get_by_role("tab", name="Graph").click(modifiers=["Control"])
    expect(opened.value).to_have_url(
        monitor.address + f"/run/{RUN}/graph?step=recipes/psu.yaml::measure"
    )


def test_latest_run_has_an_address_of_its_own(monitor: Monitor) -> None:
    page = monitor.open("/run/latest")

    expect(page).to_have_url(f"{monitor.address}/run/{RUN}/steps")
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
    page.get_by_role("tab", name="Steps").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Graph")
    expect(page.get_by_role("tab", selected=True)).to_be_focused()
    page.keyboard.press("End")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Tests")
    page.keyboard.press("Home")
    expect(page.get_by_role("tab", selected=True)).to_have_text("Steps")
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.locator("#drawer h2")).to_have_text("measure")
    page.keyboard.press("/")
    page.keyboard.type("release")
    expect(page.locator("table.steps tbody tr[id]")).to_have_count(1)
    expect(page.locator("#q")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Escape")
    expect(page.locator("#drawer")).to_have_count(0)


def test_pages_work_without_scripts(monitor: Monitor) -> None:
    page = monitor.another_page(js=False)
    page.goto(f"{monitor.address}/run/{RUN}/steps?q=flash")
    expect(page.locator("table.steps tbody tr[id]")).to_have_count(1)
    for tab in TABS.values():
        page.get_by_role("tab", name=str(tab.LABEL), exact=True).click()
        expect(page.get_by_role("tab", selected=True)).to_have_text(str(tab.LABEL))


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
            page.goto(f"{monitor.address}/run/{folder.name}/steps")
            expect(page.locator("#row-1")).to_contain_text("running")
            record(page, {f"#row-{number}": "passed" for number in range(1, 10)})
        (tmp_path / "go").touch()
        out, _ = session.communicate()
        assert b"9 passed" in out
        for page in pages:
            expect(page.locator("h1")).to_contain_text("passed")
            expect(page).to_have_title("✔ passed: bench")
            noted = page.evaluate("noted")
            steps = lookup.load_record(folder).steps
            late = [
                noted[f"#row-{number}"] - epoch_seconds(step.finished or "")
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
    monitor.open(f"/run/{LATER}/steps")
    made.start("flash")  # one line of the journal, so one request
    expect(page.locator("#row-1")).to_contain_text("running")
    heard = page.evaluate("heard")
    made.finish("flash")
    while page.evaluate("heard") == heard:  # this change waits for 300 ms of the paused clock
        pass
    made.seal()
    replies: list[Route] = []
    page.route("**/steps", lambda route: route.abort() if replies else replies.append(route))
    with page.expect_request("**/steps"):
        threading.Thread(target=monitor.ending.wait, args=(60,)).start()
    page.clock.run_for(300)
    replies[0].continue_()

    expect(page.locator("#ended")).to_be_visible()
    expect(page.locator("h1")).to_contain_text("passed")
    expect(page.locator("#row-1")).to_contain_text("passed")


def test_a_deleted_run_is_said_to_be_missing(monitor: Monitor, bench: Path) -> None:
    shutil.rmtree(bench / RUN)
    reply = monitor.page.goto(f"{monitor.address}/run/{RUN}/steps")

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
    page = monitor.open(f"/run/{RUN}/steps")
    page.locator("table.steps a.row-link").first.click()
    expect(page.locator("#drawer h2")).to_have_text(EVIL)
    for tab in TABS.values():
        page.get_by_role("tab", name=str(tab.LABEL), exact=True).click()
        expect(page.get_by_role("tab", selected=True)).to_have_text(str(tab.LABEL))
    for path in ("/", f"/recipe?path={EVIL}", "/operator"):
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
    paths += [f"/run/{run}/{tab}" for run in (RUN, OLDER) for tab in TABS]
    paths += [f"/run/{RUN}/steps?step=recipes/psu_burn_in.yaml::measure_ripple"]
    found = {path: axe_findings(monitor.open(path)) for path in paths}
    wide = {
        path
        for path in paths
        if monitor.open(path).evaluate("document.documentElement.scrollWidth") > width
    }
    monitor.close()

    assert {path: one for path, one in found.items() if one} == {}
    assert wide == set()
