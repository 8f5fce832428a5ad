"""Page of statistics in a browser."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from pytest_orchestrator.reports.statistics.render import statistics_html, write_html
from pytest_orchestrator.reports.statistics.view import StatisticsPage
from pytest_orchestrator.runs.history.model import PastRun
from pytest_orchestrator.runs.statistics.figures import statistics_of
from pytest_orchestrator.runs.statistics.units import counted
from tests.house.browser import Opened, browser
from tests.runs.statistics.past import measured, recipe, run, step

pytestmark = pytest.mark.nightly

HOSTILE = "</script><script>alert(1)</script><img src=http://a.test onerror=alert(1)>"


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as started:
        yield started


@pytest.fixture
def opened(chromium: Browser) -> Iterator[Callable[..., Opened]]:
    pages: list[Opened] = []

    def opening(file: Path, scheme: str, width: int) -> Opened:
        pages.append(Opened(chromium, file, scheme, width, js=True))
        return pages[-1]

    yield opening
    for each in pages:
        each.close()
        assert each.errors == []
        assert [url for url in each.asked if not url.startswith(("file:", "data:"))] == []


def past() -> list[PastRun]:
    """Return runs with a measurement that is capable, one that is not, and hostile texts."""
    made = []
    for at in range(12):
        values = (measured("out", 5 + at % 3 / 100), measured(HOSTILE, 5 + at % 4 / 10, unit="mV"))
        bad: dict[str, Any] = {"kind": "timeout", "reason": HOSTILE} if at == 4 else {}
        state = "failed" if bad else "passed"
        steps = step("rail_at_full_load_in_the_chamber", state, *values, **bad)
        started = f"2026-11-25T10:{at:02}:00.000000Z"
        one = recipe(
            steps, dut=HOSTILE, verdict=state, started=started, cause=bad.get("reason", "")
        )
        made.append(run(at, one, station=HOSTILE))
    return made[::-1]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    texts = {
        "stats": statistics_html(StatisticsPage(statistics_of(counted(past())), "--dut x")),
    }
    for name, text in texts.items():
        write_html(folder / f"{name}.html", text)
    return {name: folder / f"{name}.html" for name in texts}


@pytest.mark.parametrize("name", ["stats"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_the_page_fits_and_draws_its_charts(
    pages: dict[str, Path], opened: Callable[..., Opened], name: str, scheme: str, width: int
) -> None:
    shown = opened(pages[name], scheme, width)

    assert not shown.is_too_wide
    assert shown.page.locator(".trend .plot").count() == 2
    assert shown.page.locator("script").count() == 2
    assert shown.page.locator("body", has_text="alert(1)").count() == 1


def test_measurements_are_sifted_and_sorted(
    pages: dict[str, Path], opened: Callable[..., Opened]
) -> None:
    page = opened(pages["stats"], "light", 1280).page
    names = page.locator("#measurements tbody tr:not([hidden]) th")

    assert names.last.inner_text() == "out"
    page.click("#measurements th:has-text('Cpk') button")
    page.click("#measurements th:has-text('Cpk') button")
    assert names.first.inner_text() == "out"
    page.click("#measurements [data-verdict=capable][aria-pressed]")
    assert names.all_inner_texts() == ["out"]
    page.locator("button.theme").click()
    page.locator("button.theme").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(13, 17, 23)"
