"""Resources tab, and the usage of running steps on the tab of the steps."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from pytest_orchestrator.core.events import StepStarted
from pytest_orchestrator.monitor.address import address, step_key
from pytest_orchestrator.monitor.pages import resources
from pytest_orchestrator.monitor.pages.resources import _round_up
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.runs.block import Criterion
from tests.monitor.pages.opened import opened
from tests.runs.built import Built, Runs

LONG = "calibrate_" + "and_check_" * 12


def sample(seconds: float, megabytes: float, cpu: float) -> str:
    rss = round(megabytes * 1e6)
    return f'{{"seconds": {seconds}, "rss": {rss}, "cpu_seconds": {cpu}}}\n'


def write_samples(built: Built, step: str, text: str) -> str:
    name = f"resources/psu/{step}.1.jsonl"
    built.write(name, text)
    return name


def live(base: Path) -> Built:
    """Write a run with a step that has ended, one that runs, and one that has not begun."""
    built = Runs(base).new().begin("allocate", LONG, "later")
    text = sample(0.5, 20, 0.25) + sample(1.0, 80, 0.75)
    name = write_samples(built, "allocate", text)
    built.step("allocate", samples=name, cpu=0.75, rss=90_000_000)
    built.add(StepStarted(recipe=built.recipe, step=LONG))
    write_samples(built, LONG, sample(1.0, 30, 0.5) + sample(2.0, 10, 1.5))
    return built


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[[str], str], str]:
    """Return a client and the URL of a run that goes on: its journal is open."""
    built = live(tmp_path_factory.mktemp("project"))
    return opened(built.folder.parent), f"/run/{built.folder.name}"


def test_charts_have_the_curves_of_all_steps_on_the_time_of_the_run(
    run: tuple[Callable[[str], str], str],
) -> None:
    get, url = run
    page = get(f"{url}/resources")

    assert f'aria-label="{LONG}: peak 30 MB, last 10 MB"' in page
    assert 'aria-label="allocate: peak 80 MB, last 80 MB"' in page
    assert 'aria-label="allocate: peak 1, last 1"' in page  # cores
    assert '<span class="level" style="top:0.0%">100</span>' in page


def test_running_steps_have_their_present_usage(run: tuple[Callable[[str], str], str]) -> None:
    get, url = run
    tab = get(f"{url}/resources")
    steps = get(f"{url}/steps")
    row = re.findall("<tr>.*", tab.split('id="live-head"')[1])[1]

    assert re.findall('class="number of-[a-z]+">([^<]*)', row) == ["1.5 s", "1.00", "10.0", "30.0"]
    assert '<td class="number">1.5 s</td><td class="number">30.0</td>' in steps
    assert '<td class="number">750 ms</td><td class="number">90.0</td>' in steps


def test_chosen_step_has_its_own_charts(run: tuple[Callable[[str], str], str]) -> None:
    get, url = run
    page = get(f"{url}/resources?step=recipes/psu.yaml::allocate")

    assert "step allocate;" in page
    assert 'aria-label="allocate: peak 80 MB, last 80 MB"' in page
    assert f'aria-label="{LONG}: peak' not in page


def test_table_is_searched_and_sorted(run: tuple[Callable[[str], str], str]) -> None:
    get, url = run

    def names(query: str) -> list[str]:
        table = get(f"{url}/resources?{query}").split('id="usage-head"')[1]
        return re.findall('class="row-link" href="[^"]*">([^<]*)', table)

    assert names("") == ["allocate", LONG]
    assert names("q=alloc") == ["allocate"]
    assert names("sort=peak") == [LONG, "allocate"]


def test_limit_of_memory_is_in_the_chart_of_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = live(tmp_path)
    view = RunCache(built.folder.parent).read(built.folder.name, lambda view: view)
    step = view.record.recipes[built.recipe].steps["allocate"]
    assert step.block
    limit = Criterion(name="max_rss_mb", wanted=100, held=True, line=3)
    monkeypatch.setattr(step, "_block", replace(step.block, criteria=[limit]))
    one = address(built.folder.name, "resources", {"step": step_key(step)})
    shown = resources.content(view, one)

    assert shown.charts[0].limits == [(0.0, "limit 100 MB")]
    assert shown.charts[1].limits == []
    assert [row.limit for row in shown.part.rows] == ["100.0", ""]


def test_run_without_samples_says_so(tmp_path: Path) -> None:
    run = Runs(tmp_path).new().begin("quick").step("quick").cut()

    assert "No samples" in opened(run.parent)(f"/run/{run.name}/resources")


@pytest.mark.parametrize(
    ("value", "top"), [(0, 0.001), (0.5, 0.5), (0.6, 1), (1, 1), (12, 20), (134, 200), (260, 500)]
)
def test_upper_edge_of_a_chart_is_round(value: float, top: float) -> None:
    assert _round_up(value) == pytest.approx(top)


def test_curves_begin_when_their_steps_began_and_pages_of_live_runs_look_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = live(tmp_path)
    cache, name = RunCache(built.folder.parent), built.folder.name
    view = cache.read(name, lambda view: view)
    one = address(name, "resources", {})
    first, second = resources.content(view, one).charts[0].lines

    # The second step began one second after the first one, and its last sample is the end.
    assert float(first.line.split(",")[0]) < 500 < float(second.line.split(",")[0])
    before = resources.version(view, one)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    assert resources.version(view, one) != before
    built.cut()
    assert resources.version(cache.read(name, lambda view: view), one) == ""
