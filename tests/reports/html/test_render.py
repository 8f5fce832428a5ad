import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from pytest_orchestrator.core.events import CollectionFailed, TestReported
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.reports.html.trends import Earlier
from pytest_orchestrator.reports.templating import FOLDER
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.history.model import PastRecipe
from tests.reports.past import copies
from tests.reports.sample_run import RECIPE, SampleRun, psu_run

HOSTILE = "</script><script>window.hit=1</script><img src=x onerror=window.hit=1>\x1b[2J\u202e"


class Read(HTMLParser):
    """Parser of a page that collects its tags with attributes and its text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "

    def all(self, tag: str, key: str) -> list[str]:
        return [value for name, keys in self.tags if name == tag and (value := keys.get(key))]


def page(run: SampleRun, **more: Any) -> str:
    return html(lookup.load_record(run.folder), run.folder, **more)


@pytest.fixture(scope="module")
def psu(tmp_path_factory: pytest.TempPathFactory) -> str:
    run = psu_run(tmp_path_factory.mktemp("runs") / "20261125T101502Z-7f3a", png=b"\x89PNG")
    run.seal()
    return page(run)


def test_a_page_needs_no_network(psu: str) -> None:
    read = Read(psu)

    assert not read.all("script", "src")
    assert not [tag for tag, _ in read.tags if tag in ("iframe", "object", "embed", "base")]
    links = [keys for tag, keys in read.tags if tag == "link"]
    assert [(keys["rel"], str(keys["href"])[:19]) for keys in links] == [
        ("icon", "data:image/svg+xml,")
    ]
    assert all(found.startswith("data:") for found in read.all("img", "src"))
    assert not re.findall(r"url\((?!#)|@import", psu)
    # The only URLs are those of XML namespaces and licences.
    assert {one for one in re.findall(r'https?://[^\s"\'<)]+', psu) if "w3.org" not in one} <= {
        "https://github.com/leeoniya/uPlot"
    }


def test_every_internal_link_of_a_page_has_a_target(psu: str) -> None:
    read = Read(psu)

    ids = {value for _, keys in read.tags if (value := keys.get("id"))}
    links = {link[1:] for link in read.all("a", "href") if link.startswith("#")}
    assert links - ids == set()
    assert {f"{RECIPE}::flash", f"{RECIPE}::measure_ripple", "steps", "context"} <= links


def test_a_page_shows_the_whole_run_without_scripts(psu: str) -> None:
    text = " ".join(Read(psu).text.split())

    for shown in (
        "✘ failed 1 ⊘ blocked 1 ✔ passed 4",
        "c0ffeec0ffee (main)",
        "PSU-7",
        "First failure: measure_ripple recipes/psu_burn_in.yaml:12",
        "ripple = 61.4 mV, max 50.0 mV (11.4 mV above, 22.8 %)",
        "pytest recipes/psu_burn_in.yaml::measure_ripple",
        "critical path: flash > burn_in > power_off, 8.9 s of 9.1 s",
        "WARN probe",
        "status: the probe is busy",
        "FIRMWARE 2.4.1",
        "blocked by measure_ripple",
        "set dut.firmware_v1",
        "scope.png",
        "tests/test_it.py::test_it",
        "pytest recipes -q",
        "ab" * 32,
    ):
        assert shown in text


def test_a_memory_peak_that_is_an_upper_bound_is_marked(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "20261125T101502Z-7f3a")
    run.begin({"short": [], "long": []})
    figures = {"seconds": 0.01, "max_rss": 9_031_680, "largest_rss": 9_031_680}
    source = {"cpu": "wait4", "memory": "wait4, an upper bound"}
    run.step("short", "passed", (0.1, 0.2), resources={**figures, "source": source})
    run.step("long", "passed", (0.2, 0.3), resources={**figures, "source": {"memory": "wait4"}})
    run.seal()
    html = page(run)

    assert re.findall(r'class="c-peak">([^<]*)</span>', html) == ["≤ 9.0", "9.0"]
    words = " ".join(Read(html).text.split())
    assert "Peak memory, all processes ≤ 9.0 MB" in words


def test_a_step_that_ran_on_a_worker_names_it(psu: str, tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "20261125T101502Z-7f3a")
    run.begin({"flash": [], "measure": []})
    run.step("flash", "passed", (0.0, 1.0), where={"worker": "<bench>", "host": "lab-a"})
    run.step("measure", "passed", (1.0, 2.0))
    run.seal()

    assert Read(page(run)).text.count("ran on worker <bench> of lab-a") == 1
    assert "ran on" not in Read(psu).text


def test_a_page_has_charts_of_the_resource_usage_of_steps(psu: str) -> None:
    labels = re.findall('role="img" aria-label="(Memory[^"]*|CPU[^"]*)"', psu)
    lines = re.findall('<path class="course c0" d="M([^"]*)"', psu)

    assert len(labels) == 4
    assert 2 * 80 in [len(line.split()) for line in lines]


def test_links_lead_to_the_run_folder_from_any_folder_of_the_page(tmp_path: Path) -> None:
    run = psu_run(tmp_path / "runs" / "a b")
    run.seal()

    beside = Read(page(run)).all("a", "href")
    elsewhere = Read(page(run, page=tmp_path / "out" / "page.html")).all("a", "href")

    log = "logs/psu_burn_in/measure_ripple.2.stderr"
    assert log in beside
    assert f"../runs/a%20b/{log}" in elsewhere


def test_hostile_texts_are_escaped_everywhere(tmp_path: Path) -> None:
    about = {"name": HOSTILE, "description": HOSTILE, "test_meta": {"dut": HOSTILE, "tester": 1}}
    run = SampleRun(
        tmp_path / "run", about | {"vars": {HOSTILE: {"value": HOSTILE, "origin": "x"}}}
    )
    more = {"description": HOSTILE, "tags": [HOSTILE], "type": HOSTILE}
    run.begin({HOSTILE: [], "b": [HOSTILE]}, **{HOSTILE: more})
    change = {"key": HOSTILE, "op": "set", "who": HOSTILE, "old": HOSTILE, "new": [HOSTILE]}
    run.step(
        HOSTILE,
        "failed",
        (0, 1),
        text=HOSTILE,
        step={"kind": HOSTILE, "reason": HOSTILE},
        criteria=[
            dict.fromkeys(("name", "wanted", "measured", "reason", "unit"), HOSTILE)
            | {"line": 1, "held": False}
        ],
        measurements=[
            dict.fromkeys(("name", "value", "equals", "unit"), HOSTILE) | {"verdict": "fail"},
            {"name": HOSTILE, "value": 1, "high": 0, "unit": HOSTILE, "verdict": "fail"},
        ],
        given={HOSTILE: HOSTILE},
        process={"argv": [HOSTILE], "cwd": "."},
        context={"writes": [change]},
        logs={"stdout": run.log("x.stdout", HOSTILE), "stderr": run.log("x.stderr", "A" * 10**7)},
        artifacts=[{"path": "javascript:hit()", "type": "image/png", "bytes": 3}],
        attempts=[{"attempt": 1, "kind": HOSTILE, "reason": HOSTILE, "seconds": 1,
                   "start": "2026-11-25T10:15:02Z"}],
        warnings=[HOSTILE],
    )  # fmt: skip
    run.add(3, TestReported(node=HOSTILE, outcome="failed", reason=HOSTILE, text=HOSTILE))
    run.add(3, CollectionFailed(path=HOSTILE, text=HOSTILE))
    run.seal()
    text = page(run, earlier=hostile_history(run))

    read = Read(text)
    assert len([tag for tag, _ in read.tags if tag == "script"]) == 2
    assert not [keys for _, keys in read.tags for key in keys if key.startswith("on")]
    assert all(src == "javascript%3Ahit%28%29" for src in read.all("img", "src"))
    assert not {"\x1b", "\u202e"} & set(text)
    assert "window.hit" in read.text
    assert len(text) < 400_000


def hostile_history(run: SampleRun) -> Earlier:
    """Return two earlier runs of the run in which every text is hostile."""

    def edit(recipe: PastRecipe) -> PastRecipe:
        first, *rest = recipe.steps
        measured = [replace(one, value=4, unit=HOSTILE) for one in first.measurements]
        first = replace(first, reason=HOSTILE, kind=HOSTILE, measurements=tuple(measured))
        texts = dict.fromkeys(("verdict", "cause", "digest", "started"), HOSTILE)
        vars_ = {HOSTILE: [HOSTILE]}
        return replace(recipe, steps=(first, *rest), vars=vars_, digests=vars_, **texts)

    return copies(lookup.load_record(run.folder), edit, lambda one: replace(one, verdict="passed"))


def test_the_page_of_a_killed_run_names_the_interrupted_step(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": [], "b": ["a"], "c": ["b"]})
    run.step("a", "passed", (1, 2))
    run.start("b", 3)
    streams = ("stdout", "stderr", "log")
    for stream in streams:
        run.log(f"b.1.{stream}", f"{stream} of the interrupted step\n")
    run.cut()

    read = Read(page(run))
    text = " ".join(read.text.split())

    assert "! interrupted (killed)" in text
    ended = "pytest was killed, or the machine went down, while it ran"
    assert (
        f"b of {RECIPE} was running when the run stopped (started 2026-11-25 10:15:05 UTC): {ended}"
        in text
    )
    assert [text.count(f"{name} of the interrupted step") for name in streams] == [2, 2, 2]
    assert {f"logs/psu_burn_in/b.1.{name}" for name in streams} <= {*read.all("a", "href")}
    assert "1 step did not run" in text
    assert "Last event recorded: 2026-11-25 10:15:05 UTC (line 6 of the journal)" in text


@pytest.mark.unmeasured
def test_a_page_of_many_steps_with_long_output_keeps_its_size_limit(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    log = "".join(
        f"{number} <a> & 'b' of a line that a step has printed\n" for number in range(10**4)
    )
    one = {name: run.log(f"1.{name}", log) for name in ("stdout", "stderr")}
    names = [f"step_{number}" for number in range(600)]
    run.begin({name: names[max(0, at - 1) : at] for at, name in enumerate(names)})
    for at, name in enumerate(names):
        writes = [{"key": f"k.{name}", "op": "set", "who": name, "old": None, "new": log[:9000]}]
        criteria = [{"name": "exit_code", "line": 3, "held": True, "wanted": 0, "measured": 0}] * 3
        outcome = "passed" if at % 3 else "failed"
        run.step(name, outcome, (at, at + 1), logs=one, criteria=criteria, text=log * (not at % 3),
                 context={"writes": writes})  # fmt: skip
    run.seal()

    text = page(run)

    assert len(text.encode()) < 5_000_000
    assert text.count('class="step ') == 600


def test_failed_steps_are_listed_first_if_not_all_fit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_orchestrator.reports.html.page._MOST_STEPS", 3)
    run = psu_run(tmp_path / "20261125T101502Z-7f3a", png=b"\x89PNG")
    run.seal()

    read = Read(page(run))

    listed = [keys for tag, keys in read.tags if tag == "details" and "data-state" in keys]
    assert sorted(str(keys["data-state"]) for keys in listed) == ["blocked", "failed", "passed"]
    assert "Showing 3 of 6 steps" in read.text
    assert "✔ passed 4" in " ".join(read.text.split())
    ids = {value for _, keys in read.tags if (value := keys.get("id"))}
    links = {link[1:] for link in read.all("a", "href") if link.startswith("#")}
    assert links - ids == set()


def test_the_keyboard_reaches_each_table_that_scrolls() -> None:
    opened = [
        tag for file in FOLDER.glob("*.html") for tag in re.findall(r"<[^<]*>", file.read_text())
    ]

    scrolling = [tag for tag in opened if 'class="scroll"' in tag]
    assert [tag for tag in scrolling if ' tabindex="0"' not in tag] == []
    assert len(scrolling) > 5
