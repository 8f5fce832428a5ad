"""A page of more than a thousand steps in a browser: details are built when a step is opened."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.lookup import load_record
from tests.house.browser import Opened, browser
from tests.reports.sample_run import RECIPE, SampleRun

pytestmark = pytest.mark.nightly

STEPS = 1_100
HOSTILE = "</noscript><script>document.title = 'hit'</script><img src=x onerror=alert(1)>"
BAD = f"[id='{RECIPE}::step_900']"
PANEL = f"{BAD} > .panel"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = SampleRun(tmp_path_factory.mktemp("large") / "run")
    names = [f"step_{number}" for number in range(STEPS)]
    run.begin({name: [] for name in names})
    log = run.log("step_900.1.stderr", "".join(f"line {at} & <b>\n" for at in range(1, 99)))
    for at, name in enumerate(names):
        if at == 900:
            run.step(name, "failed", (at, at + 1), logs={"stderr": log}, given={"x": HOSTILE})
        else:
            run.step(name, "passed", (at, at + 1))
    run.seal(1)
    file = run.folder / "report.html"
    file.write_text(html(load_record(run.folder), run.folder), encoding="utf-8")
    return file


def test_details_are_built_when_a_step_is_opened_and_are_inert(
    page: Path, chromium: Browser
) -> None:
    shown = Opened(chromium, page, "light", 1200, js=True)

    assert shown.page.locator(f"{PANEL} pre").count() == 0
    shown.page.locator(f"{BAD} summary").first.click()
    shown.page.locator(f"{PANEL} .log", has_text="line 98 & <b>").wait_for()
    title, images = shown.page.title(), shown.page.locator(f"{PANEL} img").count()
    shown.close()

    assert (title.startswith("✘"), images, shown.errors) == (True, 0, [])


def test_the_search_knows_details_that_are_not_built(page: Path, chromium: Browser) -> None:
    shown = Opened(chromium, page, "light", 1200, js=True)

    shown.page.locator("#steps .find").fill("line 98 & <b>")
    shown.page.locator("#steps .shown", has_text=f"1 of {STEPS}").wait_for()
    shown.page.locator("#steps .find").fill("noscript class=")
    shown.page.locator("#steps .shown", has_text=f"0 of {STEPS}").wait_for()
    shown.close()


def test_a_link_to_a_line_builds_the_details_of_its_step(page: Path, chromium: Browser) -> None:
    shown = Opened(chromium, page, "light", 1200, js=True)

    shown.page.goto(f"{page.resolve().as_uri()}#L901e50")
    shown.page.reload()
    shown.page.locator("i[id=L901e50]").wait_for()
    text = shown.page.locator("i[id=L901e50]").inner_text()
    shown.close()

    assert text == "line 50 & <b>\n"


def test_details_are_on_the_page_without_scripts_and_on_paper(
    page: Path, chromium: Browser
) -> None:
    plain = Opened(chromium, page, "light", 1200, js=False)
    plain.page.locator(f"{BAD} summary").first.click()
    plain.page.locator(f"{PANEL} .log", has_text="line 98 & <b>").wait_for()
    plain.close()

    shown = Opened(chromium, page, "light", 1200, js=True)
    shown.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed = shown.page.locator(f"{PANEL} .log").count()
    shown.close()

    assert printed == 1


def test_a_wide_graph_is_as_wide_as_the_paper(tmp_path: Path, chromium: Browser) -> None:
    run = SampleRun(tmp_path / "run")
    names = [f"a_long_name_of_step_{number}" for number in range(8)]
    run.begin({name: names[max(0, at - 1) : at] for at, name in enumerate(names)})
    for at, name in enumerate(names):
        run.step(name, "passed", (at, at + 1))
    run.seal(0)
    file = run.folder / "report.html"
    file.write_text(html(load_record(run.folder), run.folder), encoding="utf-8")
    shown = Opened(chromium, file, "light", 680, js=True)

    shown.page.emulate_media(media="print")
    boxes = [one.bounding_box() for one in shown.page.locator("svg.graph:not(.narrow)").all()]
    shown.close()

    assert boxes
    assert all(box and box["x"] + box["width"] <= 680 for box in boxes)
