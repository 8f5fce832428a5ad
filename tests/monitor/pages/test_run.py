"""Page of a run: the report of its present state, with the steps that the reader chose."""

import csv
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import (
    AttemptFailed,
    CollectionFailed,
    RecipeStarted,
    SampleTaken,
    StepStarted,
    StepWaits,
    TestReported,
)
from pytest_orchestrator.monitor.address import address
from pytest_orchestrator.monitor.pages import run as run_page
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.runs.block import Element, Measurement
from tests.monitor.pages.opened import opened
from tests.runs.built import Built, Runs

RUN = "20261127T000000Z-0004"
URL = f"/run/{RUN}"


def text_of(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def section(page: str, name: str) -> str:
    """Return a section of the page as text."""
    return text_of(page.partition(f'<section id="{name}"')[2].partition("</section>")[0])


def rows(page: str) -> list[tuple[str, str]]:
    """Return name and state of the steps that the page lists."""
    found = re.findall(r'<div class="step [^>]* data-name="([^"]*)" data-state="([^"]*)"', page)
    return [(name, state) for name, state in found]


@pytest.fixture
def several(bench: Path) -> Built:
    """Return a run of three recipes; the second one fails."""
    made = Built(bench, RUN)
    for number in range(3):
        made.recipe = f"recipes/unit_{number}.yaml"
        made.about = {
            "name": f"Unit {number}",
            "path": made.recipe,
            "test_meta": {"dut": f"SN{number}"},
        }
        made.begin("flash", "measure").step("flash")
        if number == 1:
            made.step("measure", "failed", reason="too high", kind="criterion")
        else:
            made.step("measure", seconds=5.0)
    return made


@pytest.mark.usefixtures("several")
def test_steps_of_several_recipes_stand_below_their_recipe(client: Any) -> None:
    shown = section(client.get(URL).text, "steps")

    assert "✔ passed Unit 0 5.0 s flash ✔ passed" in shown
    assert re.search(r"✘ failed Unit 1 \S+ s flash ✔ passed", shown)
    assert "all ✔ passed 5 ✘ failed 1 Recipe all 3" in shown


@pytest.mark.usefixtures("several")
def test_the_head_has_the_verdict_the_units_and_the_first_failure_once(client: Any) -> None:
    page = client.get(URL).text
    head = text_of(page.partition('<header class="verdict')[2].partition("</header>")[0])

    assert head.startswith('running"> ▶ running SN0; SN1; SN2 6 steps: ✘ failed 1 ✔ passed 5')
    failure = text_of(page.partition('id="first-failure"')[2].partition("</section>")[0])
    assert (
        "✘ First failure: measure recipes/unit_1.yaml:3 · DUT SN1 too high Run it again: pytest"
        in failure
    )


def test_first_failures_on_the_operator_page_name_their_unit_and_cell(
    several: Built, client: Any
) -> None:
    several.recipe = "recipes/unit_3.yaml[gain:2]"
    several.about = {"name": "Unit 3", "path": "recipes/unit_3.yaml", "cell": "gain:2"}
    several.begin("level").step("level", "failed", reason="too low", kind="criterion")
    operator = text_of(client.get("/operator").text)

    assert "✘ failed measure SN1 too high ✘ failed level Unit 3 [gain:2] too low" in operator


@pytest.mark.usefixtures("several")
def test_a_sorted_list_names_the_recipe_of_each_step(client: Any) -> None:
    page = client.get(f"{URL}?sort=-seconds").text
    shown = section(page, "steps")

    assert "passed Unit 0 5.0 s" not in shown  # no head of a group
    assert "measure Unit 0 ✔ passed 5.0 s" in shown
    assert 'class="sort desc" aria-label="Duration, sorted descending">Duration</a>' in page
    assert rows(page)[0] == ("measure", "passed")


@pytest.mark.usefixtures("several")
def test_recipe_state_and_search_choose_the_steps(client: Any) -> None:
    assert rows(client.get(f"{URL}?recipe=recipes/unit_1.yaml").text) == [
        ("flash", "passed"),
        ("measure", "failed"),
    ]
    assert rows(client.get(f"{URL}?q=TOO+high").text) == [("measure", "failed")]
    assert rows(client.get(f"{URL}?state=failed").text) == [("measure", "failed")]
    none = client.get(f"{URL}?q=none").text
    assert "No step matches. Show all steps" in text_of(none)
    assert "6 steps:" in text_of(none)  # the head is that of the whole run


@pytest.mark.usefixtures("several")
def test_only_the_opened_step_has_its_panel(client: Any) -> None:
    step = "recipes/unit_1.yaml::measure"
    closed, page = client.get(URL).text, client.get(f"{URL}?step={step}").text

    assert '<div class="panel">' not in closed
    assert f'<a class="row row-link" href="{URL}?step={step}" aria-expanded="false">' in closed
    assert page.count('<div class="panel">') == 1
    assert f'<a class="row row-link" href="{URL}" aria-expanded="true">' in page
    assert f'<a href="{URL}/log?step={step}">Whole log</a>' in page


def test_steps_that_were_not_selected_do_not_count(bench: Path, client: Any) -> None:
    made = Built(bench, RUN)
    steps = tuple({"name": name} for name in ("flash", "measure", "release"))
    about = {"name": "psu", "path": made.recipe}
    event = RecipeStarted(recipe=made.recipe, about=about, steps=steps, unselected=("release",))
    made.add(event)
    made.step("flash")
    live = client.get(URL).text

    assert 'aria-valuetext="1 of 2 steps"' in live
    assert rows(live) == [("flash", "passed"), ("measure", "waiting")]


@pytest.mark.parametrize(("step", "state"), [("", "waiting"), ("flash", "locked")])
def test_a_wait_for_a_lock_names_the_lock_and_its_owner(
    step: str, state: str, bench: Path, client: Any
) -> None:
    made = Built(bench, RUN).begin("flash", "measure")
    made.add(StepWaits(recipe=made.recipe, step=step, lock="psu", owner="recipes/y.yaml::b"))
    shown = section(client.get(URL).text, "steps")

    assert re.search(rf"flash waits for psu \(held by recipes/y.yaml::b\) \S+ {state}", shown)
    assert shown.count("waits for psu") == 1


def test_a_run_without_a_recipe_says_so(bench: Path, client: Any) -> None:
    Built(bench, RUN).cut()

    assert "No recipe has started yet." in client.get(URL).text


def test_more_steps_than_a_page_has_are_on_further_pages(
    bench: Path, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_page, "STEPS", 50)
    names = [f"s{number:03d}" for number in range(120)]
    made = Built(bench, RUN).begin(*names)
    for name in names:
        made.step(name, "failed" if name == "s119" else "passed", measured={f"m_{name}": 1.0})
    first, last = client.get(URL).text, client.get(f"{URL}?page=3").text
    opened_step = client.get(f"{URL}?step={made.recipe}::s070").text

    assert [name for name, _ in rows(first)] == names[:50]
    assert "This page shows steps 1 to 50 of 120, and their measurements and graphs." in first
    assert "m_s049" in section(first, "measurements")
    assert "m_s050" not in section(first, "measurements")
    assert f'<a rel="next" href="{URL}?page=2">Next</a>' in first
    assert [name for name, _ in rows(last)] == names[100:]
    assert "120 steps: ✘ failed 1 ✔ passed 119" in text_of(first)
    # The first failure is that of the run, with a link to the page that has its row.
    assert f'First failure: <a href="{URL}?step={made.recipe}::s119">s119</a>' in first
    assert ("s070", "passed") in rows(opened_step)
    assert '<div class="panel">' in opened_step


@pytest.mark.parametrize(
    ("tab", "anchor"),
    [("steps", "steps"), ("graph", "recipes"), ("measurements", "measurements")],
)
def test_links_to_the_tabs_of_earlier_versions_lead_to_the_sections(
    tab: str, anchor: str, client: Any
) -> None:
    reply = client.get(f"{URL}/{tab}?q=flash")

    assert (reply.status_code, reply.location) == (302, f"{URL}?q=flash#{anchor}")
    assert client.get(f"{URL}/none").status_code == 404


def element(index: int) -> Element:
    verdict: Any = "fail" if index == 2 else "pass"
    value = Measurement(
        name="volts", value=index + 0.5, unit="V", high=2.0, verdict=verdict, line=3
    )
    return Element(index=index, item=f"ch{index}", state="passed", measurements=[value])


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Callable[[str], str], str]:
    """Return a client and the URL of a run with measurements of all kinds."""
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
    return opened(runs.base), f"/run/{built.cut().name}"


def test_the_page_has_the_measurements_and_the_history_of_the_report(
    measured: tuple[Callable[[str], str], str],
) -> None:
    get, url = measured
    page = get(url)
    table = section(page, "measurements")

    assert "sweep volts[2] ch2 2.5 V 2.0" in table
    assert "Trends (last 20 runs)" in page
    assert "ripple: level" in section(page, "trends")
    assert 'aria-label="volts over 3 elements' in get(f"{url}?step=recipes/psu.yaml::sweep")


def test_the_trends_are_those_of_the_chosen_recipe(tmp_path: Path) -> None:
    runs, last = Runs(tmp_path), ""
    for value in (60.0, 12.0):
        built = runs.new().begin("ripple")
        built.step("ripple", measured={"level": value})
        built.recipe, built.about = "recipes/fan.yaml", {"name": "fan", "path": "recipes/fan.yaml"}
        built.begin("spin").step("spin", measured={"rpm": value}).seal()
        last = built.folder.name
    get, url = opened(runs.base), f"/run/{last}"

    both = section(get(url), "trends")
    assert ("ripple: level" in both, "spin: rpm" in both) == (True, True)
    fan = section(get(f"{url}?recipe=recipes/fan.yaml"), "trends")
    assert ("ripple: level" in fan, "spin: rpm" in fan) == (False, True)


def test_the_csv_has_all_measurements_as_the_command_writes_them(
    measured: tuple[Callable[[str], str], str],
) -> None:
    get, url = measured
    found = [*csv.DictReader(get(f"{url}/measurements.csv").splitlines())]

    assert [(one["step"], one["name"], one["value"]) for one in found] == [
        ("ripple", "level", "12.0"),
        ("sweep", "volts[0]", "0.5"),
        ("sweep", "volts[1]", "1.5"),
        ("sweep", "volts[2]", "2.5"),
        ("names", "'=cmd", "1.0"),
    ]
    assert (found[4]["unit"], found[3]["verdict"]) == ("'+V", "fail")


def test_other_tests_are_listed_with_their_failure_texts(bench: Path, client: Any) -> None:
    built = Built(bench, RUN).begin("flash").step("flash")
    built.add(TestReported(node="test_x.py::test_good", outcome="passed", seconds=2.0))
    bad, why = "test_x.py::test_bad", "assert 1 == 2"
    built.add(TestReported(node=bad, outcome="failed", reason=why, text="E  <assert>"))
    built.add(CollectionFailed(path="bad.yaml", text="bad.yaml:1:1: wrong", line=1, column=1))
    built.seal(1)
    page = client.get(URL).text
    tests = section(page, "tests")

    assert tests.index("test_x.py::test_bad") < tests.index("test_x.py::test_good")
    assert "assert 1 == 2" in tests
    assert "E  &lt;assert&gt;" in page
    assert "bad.yaml cannot be read" in page


def sample(seconds: float, megabytes: float, cpu: float) -> str:
    rss = round(megabytes * 1e6)
    return f'{{"seconds": {seconds}, "rss": {rss}, "cpu_seconds": {cpu}}}\n'


@pytest.fixture
def live(bench: Path) -> Built:
    """Return a run of which one step has ended, one runs, and one has not begun."""
    made = Built(bench, RUN, start=time.time_ns() // 1000 - 90_000_000)
    made.begin("allocate", "hold", "later").step("allocate", cpu=0.75, rss=90_000_000)
    made.add(StepStarted(recipe=made.recipe, step="hold"))
    made.write("resources/psu/hold.1.jsonl", sample(1.0, 30, 0.5) + sample(2.0, 10, 1.5))
    made.write("logs/psu/hold.1.stdout", "holding\n")
    return made


@pytest.mark.usefixtures("live")
def test_a_running_step_has_its_usage_and_its_output_so_far(client: Any) -> None:
    page = client.get(f"{URL}?step=recipes/psu.yaml::hold").text
    row = page.partition('data-name="hold"')[2].partition("</a>")[0]

    assert re.search(r'class="c-seconds" data-since="\d+\.\d+">1 min \d+ s<', row)
    assert '<span class="c-cpu">1.5 s</span><span class="c-peak">30.0</span>' in row
    assert "holding" in page.partition('<div class="panel">')[2]
    assert 'aria-label="Memory: 10.0 to 30.0 MB"' in page


def test_bars_of_running_steps_end_now(live: Built, client: Any) -> None:
    step: dict[str, Any] = {"recipe": live.recipe, "step": "hold"}
    live.add(AttemptFailed(**step, attempt=1, kind="exit_code", reason="no"))
    live.add(StepStarted(**step, attempt=2))
    page = client.get(URL).text
    spans = re.findall(r'class="span k-(\w+) running" style="left:[\d.]+%;width:([\d.]+)%', page)

    assert [kind for kind, _ in spans] == ["failed", "retrying", "running"]
    assert float(spans[2][1]) > 50


def test_a_page_is_new_every_two_seconds_while_the_run_goes_on(
    live: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, one = RunCache(live.folder.parent), address(RUN, "", {})
    before = run_page.version(cache, one)
    monkeypatch.setattr(time, "time", lambda: 4e9)
    later = run_page.version(cache, one)
    live.cut()
    ended = run_page.version(cache, one)

    assert before[0] != later[0]
    assert (later[1], ended[1]) == (False, True)
    monkeypatch.setattr(time, "time", lambda: 5e9)
    assert run_page.version(cache, one) == ended
