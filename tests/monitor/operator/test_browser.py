"""The operator page in a browser: a prompt answered by the keyboard, and the end of a run."""

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.house.browser import ROOT, axe_findings, browser
from tests.monitor.live_monitor import Monitor
from tests.monitor.operator.asking_session import AskingSession
from tests.plugin.conftest import PYTEST

pytestmark = pytest.mark.nightly

FIELDS = {
    "serial": {"pattern": r"SN\d{6}"},
    "volts": {"type": "number", "min": 0, "max": 30, "unit": "V"},
    "sealed": {"type": "boolean"},
    "pin": {"secret": True, "required": False},
}
RECIPE = r"""
name: Incoming inspection
test_meta: {dut: PSU-7}
steps:
  - name: inspect
    type: prompt
    message: Is the **power** LED green?
    fields: {serial: {pattern: 'SN\d{6}'}}
    buttons: [pass, fail]
  - {name: sure, type: prompt, message: Is the cover closed?}
  - {name: measure, type: shell, cmd: echo 5, parse: text}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def session(tmp_path: Path) -> Iterator[AskingSession]:
    made = AskingSession(tmp_path / "runs", tmp_path, fields=FIELDS, buttons=["pass", "fail"])
    yield made
    made.close()


@pytest.fixture
def monitor(session: AskingSession, chromium: Browser) -> Iterator[Monitor]:
    made = Monitor(session.built.folder.parent, chromium)
    yield made
    made.close()
    # Chromium reports the refusal of an answer, too.
    assert [error for error in made.errors if "status of 422" not in error] == []


def focused(page: Page) -> str:
    """Return the name, and for a button the value, of the element that has the focus."""
    text: str = page.evaluate(
        "(({name, value, type}) => name + (type === 'submit' ? '=' + value : ''))"
        "(document.activeElement)"
    )
    return text


def test_an_operator_answers_by_the_keyboard_alone(
    session: AskingSession, monitor: Monitor
) -> None:
    page, keys = monitor.open("/operator"), monitor.page.keyboard
    expect(page.get_by_role("heading", name="inspect asks")).to_be_visible()
    expect(page.locator("#announced")).to_contain_text("New question. inspect asks.")
    seen = [focused(page)]
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("serial", exact=True).focus()
    for line in ("SN000123", "5.02 V"):
        keys.type(line)
        keys.press("Enter")
        seen.append(focused(page))
    keys.press("Space")
    for line in ("", "geheim"):
        keys.type(line)
        keys.press("Enter")
        seen.append(focused(page))
    assert seen == ["f.serial", "f.volts", "f.sealed", "f.pin", "button=pass"]
    end = session.ends_after_the_answer()
    keys.press("Enter")
    end.join()

    expect(page.locator("#word")).to_have_text(re.compile("passed"))
    expect(page.locator(".answered")).to_contain_text("pass, answered by Ann on the operator page")
    expect(page).to_have_title("✔ passed: PSU-7")
    assert session.answer is not None
    assert session.answer.values == {
        "serial": "SN000123",
        "volts": 5.02,
        "sealed": True,
        "pin": "geheim",
    }


def test_the_time_left_shrinks_while_the_form_is_open(
    session: AskingSession, monitor: Monitor
) -> None:
    session.asked.deadline = time.monotonic() + 50
    left = monitor.open("/operator").locator("[data-until]")
    expect(left).to_have_text(re.compile(r"^4\d\.\d s$"))
    before = left.inner_text()
    expect(left).not_to_have_text(before)


def test_a_wrong_field_is_marked_with_the_sentence_of_the_terminal_before_it_is_sent(
    session: AskingSession, monitor: Monitor
) -> None:
    page = monitor.open("/operator")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("serial", exact=True).fill("12")
    page.get_by_label("volts", exact=True).fill("1e3")
    page.get_by_role("button", name="pass").click()

    for text in (r"'serial' should match SN\d{6}", "'volts' should be 0 to 30 V"):
        expect(page.get_by_text(text)).to_be_visible()
    expect(page.get_by_text("'sealed' should not be empty")).to_be_visible()
    assert focused(page) == "f.serial"
    assert "POST" not in sent
    assert session.answer is None


def test_typed_lines_stay_while_the_run_goes_on_and_the_page_shows_who_was_faster(
    session: AskingSession, monitor: Monitor
) -> None:
    page = monitor.open("/operator")
    other = monitor.another_page()
    other.goto(f"{monitor.address}/operator")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("serial", exact=True).fill("SN0")
    session.built.start("measure")
    expect(page.locator(".now")).to_contain_text("measure")
    expect(page.get_by_label("serial", exact=True)).to_have_value("SN0")

    other.get_by_label("Your name").fill("Bob")
    other.get_by_label("serial", exact=True).fill("SN000123")
    other.get_by_label("volts", exact=True).fill("5")
    other.get_by_label("false").check()
    end = session.ends_after_the_answer("failed")
    other.get_by_role("button", name="pass").click()
    end.join()

    for one in (page, other):
        expect(one.locator("#word")).to_have_text(re.compile("failed"))
        expect(one.locator(".answered")).to_contain_text("answered by Bob")
    expect(page.locator("#announced")).to_have_text("The question is closed.")


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_findings_on_a_form_with_wrong_fields_and_on_a_verdict(
    session: AskingSession, monitor: Monitor, scheme: Literal["light", "dark"], width: int
) -> None:
    page = monitor.another_page(scheme, width)
    page.goto(f"{monitor.address}/operator")
    page.get_by_role("button", name="fail").click()
    expect(page.get_by_text("'serial' should not be empty")).to_be_visible()
    assert axe_findings(page) == []
    session.asked.refuse("over")
    session.queue.forget(session.asked)
    session.built.finish("inspect", "interrupted")
    session.built.cut()
    page.get_by_label("Colour").check()
    expect(page.locator("#word")).to_have_text(re.compile("interrupted"))
    assert axe_findings(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_the_name_is_asked_once_and_options_are_remembered(
    session: AskingSession, monitor: Monitor
) -> None:
    page = monitor.open("/operator")
    assert not page.get_by_label("Sound").is_checked()
    page.get_by_label("Colour").check()
    page.evaluate("localStorage.setItem('operator', 'Ann')")
    page.reload()

    expect(page.get_by_label("Your name")).to_have_value("Ann")
    assert focused(page) == "f.serial"
    assert page.get_by_label("Colour").is_checked()


def test_the_first_scan_is_no_name_and_a_tap_after_a_correction_is_not_lost(
    session: AskingSession, monitor: Monitor
) -> None:
    page = monitor.open("/operator")
    page.keyboard.type("SN000777")
    page.keyboard.press("Enter")
    expect(page.get_by_label("serial", exact=True)).to_have_value("SN000777")
    expect(page.get_by_label("Your name")).to_have_value("")
    page.get_by_label("Your name").fill("Ann")
    for volts in ("99", "5"):
        page.get_by_label("volts", exact=True).fill(volts)
        choice = page.get_by_label("true")
        before = choice.bounding_box()
        assert before is not None
        x, y = before["x"] + 5, before["y"] + before["height"] - 3
        page.mouse.move(x, y)
        page.mouse.down()
        page.wait_for_timeout(80)
        page.mouse.up()
        assert choice.is_checked()
        if volts == "99":
            expect(page.get_by_text("'volts' should be 0 to 30 V")).to_be_visible()
            page.get_by_label("false").check()
        assert choice.bounding_box() == before
    end = session.ends_after_the_answer()
    page.get_by_role("button", name="pass").click()
    end.join()
    assert session.answer is not None
    assert (session.answer.who, session.answer.values["serial"]) == ("Ann", "SN000777")


def test_the_enter_of_a_scanner_answers_a_question_of_one_field(
    tmp_path: Path, chromium: Browser
) -> None:
    field = {"label": "Serial number", "pattern": r"SN\d{6}", "error": "Scan the label."}
    one = AskingSession(tmp_path / "runs", tmp_path, fields={"serial": field})
    shown = Monitor(one.built.folder.parent, chromium)
    page = shown.open("/operator")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("Serial number").focus()
    page.keyboard.type("SN1")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Scan the label.")).to_be_visible()
    end = one.ends_after_the_answer()
    page.keyboard.type("23456")
    page.keyboard.press("Enter")
    end.join()
    shown.close()
    one.close()
    assert one.answer is not None
    assert one.answer.values == {"serial": "SN123456"}
    assert shown.errors == []


def test_a_form_without_javascript_works_and_keeps_what_was_typed(
    session: AskingSession, monitor: Monitor
) -> None:
    page = monitor.another_page(js=False)
    page.goto(f"{monitor.address}/operator")
    page.get_by_label("Your name").fill("Ann")
    page.get_by_label("serial", exact=True).fill("12")
    page.get_by_label("volts", exact=True).fill("5")
    page.get_by_label("true").check()
    page.get_by_role("button", name="fail").click()
    expect(page.get_by_text(r"'serial' should match SN\d{6}")).to_be_visible()
    expect(page.get_by_label("volts", exact=True)).to_have_value("5")

    page.get_by_label("serial", exact=True).fill("SN000123")
    page.get_by_role("button", name="fail").click()
    page.wait_for_url("**/operator")
    assert session.asked.wait().button == "fail"


def test_a_session_with_its_monitor_is_answered_and_ends_politely(
    tmp_path: Path, chromium: Browser
) -> None:
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "x.yaml").write_text(RECIPE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [*PYTEST, "--recipe-monitor", "-o", "recipe_html=true"]
    environment = {name: text for name, text in os.environ.items() if name != "CI"}
    environment["PYTHONPATH"] = str(ROOT)
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(chromium.new_context())
        page = context.new_page()
        # The page of a monitor that is there already: it waits for the run, and the run for it.
        waiting = Monitor(tmp_path / ".orchestrator" / "runs", chromium)
        stack.callback(waiting.close)
        waiting.open("/operator")
        expect(waiting.page.locator("#word")).to_have_text("No run yet")
        process = stack.enter_context(
            subprocess.Popen(
                command,
                cwd=tmp_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        assert process.stdout is not None
        link = None
        while link is None:
            link = re.search(r"http://\S+/run/\S+", process.stdout.readline())
        page.goto(link[0])
        operator = waiting.page
        expect(operator.get_by_label("serial")).to_be_visible()
        operator.get_by_label("Your name").fill("Ann")
        operator.get_by_label("serial").focus()
        operator.keyboard.type("SN000123")
        operator.keyboard.press("Enter")
        operator.keyboard.press("Enter")
        expect(operator.get_by_text("Is the cover closed?").last).to_be_visible()
        expect(operator.get_by_role("button", name="continue")).to_be_focused()
        operator.keyboard.press("Enter")

        assert "3 passed" in process.stdout.read()
        assert process.wait() == 0
        expect(page.locator("#ended")).to_contain_text("Finished.")
        expect(page.locator("h1")).to_contain_text("passed")
        expect(page.locator("#lost")).to_be_hidden()
        path = page.get_by_role("button", name="Copy its path").get_attribute("data-copy")
        assert path is not None
        with page.expect_download() as saved:  # the monitor is gone
            page.get_by_role("link", name="report.html").click()
        assert saved.value.path().read_bytes() == Path(path).read_bytes()
        expect(operator.locator("#word")).to_have_text(re.compile("passed"))
