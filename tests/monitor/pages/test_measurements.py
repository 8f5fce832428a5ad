"""Measurements tab."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import SampleTaken
from pytest_orchestrator.monitor.pages.charts import trend
from pytest_orchestrator.reports.trends import with_texts
from pytest_orchestrator.runs.block import Element, Measurement
from tests.monitor.pages.opened import opened
from tests.runs.built import Runs

MANY = 488


def element(index: int) -> Element:
    verdict: Any = "fail" if index == 2 else "pass"
    value = Measurement(
        name="volts", value=index + 0.5, unit="V", high=2.0, verdict=verdict, line=3
    )
    return Element(index=index, item=f"ch{index}", state="passed", measurements=[value])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[[str], str], str]:
    """Return a client and the URL of the tab for a run with measurements of all kinds."""
    runs = Runs(tmp_path_factory.mktemp("project"))
    for value in (60.0, 12.0):
        earlier = runs.new().begin("ripple")
        earlier.step("ripple", measured={"level": value}).seal()
    built = runs.new().begin("ripple", "sweep", "names")
    built.step("ripple", measured={"level": 12.0}, limits={"low": 0, "high": 50, "margin": 12.0})
    built.step("sweep", elements=[element(index) for index in range(3)])
    built.step("names", measured={"=cmd": 1.0}, limits={"unit": "+V"})
    built.add(
        SampleTaken(recipe=built.recipe, name="heat", value=91.0, moment=1.0, is_outside=True)
    )
    built.recipe, built.about = "recipes/b.yaml", {"name": "other", "path": "recipes/b.yaml"}
    built.begin("level").step("level", measured={"level": 7.0})
    return opened(runs.base), f"/run/{built.cut().name}/measurements"


def names(page: str) -> list[str]:
    return [one.strip() for one in re.findall(r'<th scope="row">([^<]*)', page)]


def test_table_has_all_measurements_with_recipe_element_limits_and_margin(
    run: tuple[Callable[[str], str], str],
) -> None:
    get, url = run
    page = get(url)

    assert names(page) == ["level", "volts[0]", "volts[1]", "volts[2]", "=cmd", "level"]
    assert '<td class="of-recipe">other</td>' in page
    assert 'volts[2] <span class="of">ch2</span>' in page
    assert ">0…50 mV</td>" in page
    assert ">48.0 %</td>" in page
    assert 'aria-label="volts 2.5 V, limits ≤ 2.0: fail"' in page
    assert f'href="{url}?step=recipes/psu.yaml::sweep"' in page


def test_table_is_filtered_searched_and_sorted_by_its_url(
    run: tuple[Callable[[str], str], str],
) -> None:
    get, url = run

    assert names(get(f"{url}?state=fail")) == ["volts[2]"]
    assert names(get(f"{url}?q=sweep+ch1")) == ["volts[1]"]
    assert names(get(f"{url}?recipe=recipes/b.yaml")) == ["level"]
    assert names(get(f"{url}?sort=-value"))[0] == "level"
    assert names(get(f"{url}?sort=value"))[:2] == ["volts[0]", "=cmd"]
    assert "No measurement matches." in get(f"{url}?q=nothing")


def test_csv_has_all_rows_of_the_filter_with_exact_values(
    run: tuple[Callable[[str], str], str],
) -> None:
    get, url = run
    link = re.findall('href="([^"]*)" download>CSV of all 3<', get(f"{url}?q=sweep"))[0]
    rows = [*csv.DictReader(get(link).splitlines())]

    assert link == f"{url}.csv?q=sweep"
    assert [one["measurement"] for one in rows] == ["volts[0]", "volts[1]", "volts[2]"]
    assert rows[2] == {
        "recipe": "psu",
        "step": "sweep",
        "measurement": "volts[2]",
        "element": "ch2",
        "value": "2.5",
        "unit": "V",
        "low": "",
        "high": "2.0",
        "expected": "",
        "margin %": "",
        "verdict": "fail",
    }
    (formula,) = csv.DictReader(get(f"{url}.csv?q=cmd").splitlines())
    assert (formula["measurement"], formula["unit"]) == ("'=cmd", "'+V")


def test_tab_has_sampled_values_curves_and_histories(
    run: tuple[Callable[[str], str], str],
) -> None:
    get, url = run
    page = get(url)

    assert "91, was outside the limits" in page
    assert 'aria-label="volts over 3 elements: 0.5 to 2.5 V, 1 out of limits"' in page
    label = "psu · ripple: level in 3 runs: 12 mV to 60 mV, last 12 mV, 1 not passed"
    assert f'aria-label="{label}"' in page
    assert page.count('class="cross"') == 1


def test_long_table_has_pages_that_say_so(tmp_path: Path) -> None:
    built = Runs(tmp_path).new().begin("many")
    built.finish("many", measured={f"m{number:03d}": number for number in range(MANY)})
    folder = built.cut()
    get, url = opened(folder.parent), f"/run/{folder.name}/measurements"

    assert "1 to 200 of 488 measurements" in get(url)
    assert names(get(f"{url}?page=3"))[-1] == "m487"
    assert len(get(f"{url}.csv").splitlines()) == MANY + 1


def test_points_of_a_history_have_their_own_verdicts_and_limits() -> None:
    points = [
        {"run": f"r{number}", "start": "2026-11-25T10:15:02Z", "value": value, "passed": value < 50}
        for number, value in enumerate((60, 10))
    ]
    chart = {"name": "level", "low": 0, "high": 50, "points": points, "total": 1}
    drawn = trend(with_texts(chart, "mV"))

    assert [point.passed for point in drawn.points] == [False, True]
    assert [text for _, text in drawn.limits] == ["0 mV", "50 mV"]
    assert drawn.points[0].y < drawn.limits[1][0] < drawn.points[1].y < drawn.limits[0][0]
    assert drawn.band
    assert sum(drawn.band) == pytest.approx(drawn.limits[0][0])
