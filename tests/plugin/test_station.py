"""A station with real sessions: batches by the keys of a scanner, and deaths on both sides."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pytest_orchestrator.core.events import epoch_seconds
from pytest_orchestrator.runs.operator.batch import session_in, station_folder
from tests.house.browser import ROOT, axe_findings, browser

pytestmark = [pytest.mark.nightly, pytest.mark.own_interpreters]

BATCHES = int(os.environ.get("STATION_BATCHES", "50"))
KEEP = ("-o", "recipe_keep_runs=100")  # the default keeps fewer runs than there are batches
RECIPE = r"""
name: Board test
inputs:
  tray: {pattern: 'TR\d+', label: Tray}
  serial: {pattern: 'SN\d{6}', label: Serial number, error: Scan the label.}
  note: {required: false, label: Remark}
test_meta: {dut: {serial_number: "${{ vars.serial }}"}}
steps:
  - {name: check, type: shell, cmd: "echo ${{ vars.serial }} ${{ vars.tray }}", parse: text}
  - name: even
    type: shell
    cmd: "test $(( ${SERIAL: -1} % 5 )) != 0"
    env: {SERIAL: "${{ vars.serial }}"}
    shell: bash
    parse: text
"""
WAITS = """
inputs: {serial: {default: SN1}}
test_meta: {dut: "${{ vars.serial }}"}
steps:
  - {name: wait, type: shell, cmd: "echo $$ > pid; exec sleep 600", parse: text}
finally:
  - {name: off, type: shell, cmd: touch off, parse: text}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


class RunningStation:
    """Process of a station in a project, and a browser that operates it."""

    def __init__(self, root: Path, chromium: Browser) -> None:
        self.root, self.runs = root, root / ".orchestrator" / "runs"
        environment = {name: text for name, text in os.environ.items() if name != "CI"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pytest_orchestrator", "station", "x.yaml", "--port=0", *KEEP],
            cwd=root,
            env=environment | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        printed = self.process.stdout.readline() + self.process.stdout.readline()
        found = re.search(r"station of x\.yaml: (http\S+)", printed)
        assert found is not None, printed
        self.link = found[1]
        self._context = chromium.new_context(viewport={"width": 1280, "height": 800})
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(60_000)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.goto(self.link)

    def start(self) -> None:
        """Write the name of the operator, press Start, and wait until a step runs."""
        self.page.get_by_label("Your name").fill("Ann")
        self.page.get_by_role("button", name="Start").click()
        until((self.root / "pid").exists)

    def abort(self) -> None:
        """Press Abort, and wait until the session has ended."""
        self.page.get_by_role("button", name="Abort").click()
        expect(self.page.locator("#word")).to_have_text(re.compile("aborted"))

    def scan(self, code: str) -> None:
        """Send the keys of a scanner: a code, and Enter."""
        self.page.keyboard.type(code)
        self.page.keyboard.press("Enter")

    @property
    def session(self) -> int:
        """The process id of the last session."""
        noted = session_in(station_folder(self.runs, "x.yaml"))
        assert noted is not None
        return noted.pid

    def close(self) -> None:
        """Close the browser, and end the station."""
        self._context.close()
        self.process.terminate()
        self.process.communicate(timeout=60)


@contextlib.contextmanager
def station(root: Path, chromium: Browser, recipe: str = "") -> Iterator[RunningStation]:
    """Start a station and end it afterwards."""
    if recipe:
        (root / "pytest.ini").write_text("[pytest]\n")
        (root / "x.yaml").write_text(recipe)
    made = RunningStation(root, chromium)
    try:
        yield made
    finally:
        made.close()


def until(condition: Callable[[], object]) -> None:
    """Wait until a condition is true."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Return True if a process runs."""
    with contextlib.suppress(OSError):
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    return False


def journals(runs: Path) -> list[Path]:
    """Return the journals of all runs, the oldest first."""
    return sorted(one for one in runs.glob("*/journal.jsonl") if not one.parent.is_symlink())


def first_step(journal: Path) -> float:
    """Return the time at which the first step of a run began, in seconds since the epoch."""
    events = map(json.loads, journal.read_text().splitlines())
    return epoch_seconds(next(one["ts"] for one in events if one["event"] == "step_started"))


def about(journal: Path) -> dict[str, Any]:
    """Return the recipe of a run as its journal has it."""
    events = map(json.loads, journal.read_text().splitlines())
    found: dict[str, Any] = next(one for one in events if one["event"] == "recipe_started")
    described: dict[str, Any] = found["about"]
    return described


def test_no_tap_and_no_scan_of_many_batches_is_lost(tmp_path: Path, chromium: Browser) -> None:
    wanted: list[tuple[str, str]] = []
    started: list[float] = []
    with station(tmp_path, chromium, RECIPE) as one:
        page = one.page
        page.get_by_label("Your name").fill("Ann")
        page.get_by_label("Serial number").focus()
        for number in range(BATCHES):
            serial, tray = f"SN{number:06}", f"TR{number}"
            if number % 7 == 3:
                one.scan("X9")
                expect(page.get_by_text("Scan the label.")).to_be_visible()
                page.get_by_label("Serial number").fill("")
            one.scan(serial)
            expect(page.get_by_label("Tray")).to_be_focused()
            before = time.time()
            one.scan(tray)
            expect(page.get_by_role("button", name="Next")).to_be_visible(timeout=60_000)
            assert len(journals(one.runs)) == len(wanted) + 1
            wanted.append((serial, tray))
            word = "fail" if number % 5 == 0 else "pass"
            expect(page.locator("#word")).to_have_text(re.compile(word))
            expect(page.locator(".units")).to_contain_text(serial)
            started.append(first_step(journals(one.runs)[-1]) - before)
            expect(page.get_by_role("button", name="Next")).to_be_focused()
            page.keyboard.press("Enter")
            expect(page.get_by_label("Serial number")).to_be_focused()
            expect(page.get_by_label("Your name")).to_have_value("Ann")
        assert one.errors == []
    runs = [about(path) for path in journals(one.runs)]
    taken = [(run["vars"]["serial"]["value"], run["vars"]["tray"]["value"]) for run in runs]
    assert taken == wanted
    assert {run["test_meta"]["operator"] for run in runs} == {"Ann"}
    assert [run["test_meta"]["dut"]["serial_number"] for run in runs] == [one for one, _ in wanted]
    sys.stdout.write(f"seconds from Start to the first step: {sorted(started)}\n")


def test_after_sigkill_of_a_session_no_process_is_left_and_the_page_says_so(
    tmp_path: Path, chromium: Browser
) -> None:
    with station(tmp_path, chromium, WAITS) as one:
        one.start()
        program = int((tmp_path / "pid").read_text())
        os.kill(one.session, signal.SIGKILL)
        expect(one.page.locator("#word")).to_have_text(re.compile("killed"))
        expect(one.page.get_by_text("The session was killed (signal 9)")).to_be_visible()
        until(lambda: not is_alive(program))
        assert not [*tmp_path.glob(".orchestrator/station/*/batch.json")]
        one.page.get_by_role("button", name="Repeat").click()
        expect(one.page.get_by_role("button", name="Abort")).to_be_visible()
        until(lambda: int((tmp_path / "pid").read_text() or program) != program)
        one.abort()
        expect(one.page.get_by_text("Ann pressed Abort")).to_be_visible()
        assert (tmp_path / "off").exists()


def test_after_sigkill_of_a_station_another_one_takes_the_session_over(
    tmp_path: Path, chromium: Browser
) -> None:
    with station(tmp_path, chromium, WAITS) as one:
        one.start()
        session = one.session
        one.process.kill()
        one.process.communicate()
        assert is_alive(session)
    with station(tmp_path, chromium) as other:
        expect(other.page.get_by_role("button", name="Abort")).to_be_visible()
        assert other.session == session
        other.abort()
        until(lambda: not is_alive(session))
        assert (tmp_path / "off").exists()


def test_a_closed_browser_changes_nothing_and_ctrl_c_of_the_station_ends_its_session(
    tmp_path: Path, chromium: Browser
) -> None:
    with station(tmp_path, chromium, WAITS) as one:
        one.start()
        session = one.session
        one.page.close()
        assert is_alive(session)
        one.process.send_signal(signal.SIGINT)
        one.process.communicate(timeout=60)
        assert one.process.returncode == 0
        assert not is_alive(session)
        assert (tmp_path / "off").exists()


PANEL = r"""
name: Panel
units: {names: [A, B, C, D], serial: {pattern: 'SN\d'}}
steps:
  - name: wait
    type: shell
    parse: text
    cmd: "touch ${{ unit.name }}.on; until [ -e end ]; do sleep 0.02; done"
finally:
  - {name: off, type: shell, parse: text, scope: each, cmd: "touch ${{ unit.name }}.off"}
"""


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_one_unit_of_a_panel_is_aborted_by_two_taps_and_an_empty_socket_does_not_count(
    tmp_path: Path, chromium: Browser, scheme: Any, width: int
) -> None:
    with station(tmp_path, chromium, PANEL) as one, contextlib.ExitStack() as stack:
        size = {"width": width, "height": 800}
        context = stack.enter_context(
            chromium.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
        )
        page = one.page = context.new_page()
        page.goto(one.link)
        page.get_by_label("Your name").fill("Ann")
        page.get_by_label("Unit A").focus()
        for at, code in enumerate(("SN1", "SN2", "SN3")):
            one.scan(code)
            expect(page.get_by_label(f"Unit {'BCD'[at]}")).to_be_focused()
        look(page, f"panel-ready-{scheme}-{width}")
        one.scan("")  # the last socket is empty
        until(lambda: len([*tmp_path.glob("*.on")]) == 3)
        box = page.locator(".unit", has_text="SN2")
        expect(box.get_by_role("button")).to_be_hidden()
        box.locator("summary").click()
        look(page, f"panel-running-{scheme}-{width}")
        box.get_by_role("button", name="Abort unit B alone").click()
        until((tmp_path / "B.off").exists)
        expect(box).not_to_contain_text("Abort")
        assert not (tmp_path / "A.off").exists()
        (tmp_path / "end").touch()
        expect(page.get_by_role("button", name="Next")).to_be_visible()
        expect(box).to_contain_text("aborted")
        expect(box).to_contain_text("Ann pressed Abort")
        expect(page.locator(".unit", has_text="pass")).to_have_count(2)
        expect(page.locator(".unit")).to_have_count(3)
        look(page, f"panel-ended-{scheme}-{width}")


def look(page: Page, name: str) -> None:
    """Check a page for people who use it: no finding of axe, no part beside the window.

    With `STATION_PICTURES` a picture is kept in that folder.
    """
    assert axe_findings(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    if folder := os.environ.get("STATION_PICTURES"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_findings_on_the_pages_of_a_station(
    tmp_path: Path, chromium: Browser, scheme: Any, width: int
) -> None:
    with station(tmp_path, chromium, RECIPE) as one, contextlib.ExitStack() as stack:
        size = {"width": width, "height": 800}
        context = stack.enter_context(
            chromium.new_context(color_scheme=scheme, viewport=size)  # type: ignore[arg-type]
        )
        page = context.new_page()
        page.goto(one.link)
        expect(page.get_by_role("button", name="Start")).to_be_visible()
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_text("'Serial number' should not be empty")).to_be_visible()
        assert axe_findings(page) == []
        page.get_by_label("Your name").fill("Ann")
        page.get_by_label("Serial number").fill("SN000001")
        page.get_by_label("Tray").fill("TR1")
        page.get_by_role("button", name="Start").click()
        expect(page.get_by_role("button", name="Next")).to_be_visible(timeout=60_000)
        page.get_by_label("Colour").check()
        assert axe_findings(page) == []
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        if width == 1280:  # all on one page
            assert not page.evaluate("document.documentElement.scrollHeight > innerHeight")
