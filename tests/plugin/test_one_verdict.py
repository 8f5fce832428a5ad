"""One verdict everywhere: each report of a session has the same word for its recipe and its run."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.addons.evidence.bundle import statement
from pytest_orchestrator.addons.exports import otel
from pytest_orchestrator.cli.main import main
from pytest_orchestrator.monitor.pages.head import head
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.monitor.run_list import RunListCache
from pytest_orchestrator.reports.summary import summary_of_run
from pytest_orchestrator.runs.lookup import load_record, run_folders
from pytest_orchestrator.runs.summary import verdict, verdict_of
from tests.instruments import POWER_SUPPLY, SIMULATED, ScpiInstrument
from tests.plugin.conftest import Project

pytestmark = pytest.mark.unmeasured

RECIPE = "recipes/r.yaml"
META = "name: r\ntest_meta: {dut: SN7}\ndefaults: {parse: text}\n"
DEAD = """
steps:
  - {name: svc, type: shell, background: true, cmd: ./svc.sh}
  - {name: a, type: shell, needs: [svc],
     cmd: 'touch go; while kill -0 $(cat pid); do sleep .02; done'}
"""
SERVICE = "#!/bin/sh\necho $$ > pid; while ! test -e go; do sleep .02; done; exit 3\n"
SAMPLED = """
sampling: {amps: {cmd: echo 9, every: 1s, high: 5}}
steps: [{name: a, type: shell, cmd: 'true'}]
"""
SCPI = "steps: [{name: a, type: scpi, instrument: psu, commands: [OUTP 1]}]\n"
CLOSED = "steps: [{name: a, type: shell, cmd: 'true'}, {name: b, type: shell, cmd: 'true'}]\n"
LOOP = (
    "steps: [{name: a, type: shell, foreach: '[]', cmd: 'false', measurements: {v: {value: '1'}}}]"
)
NEAR = """
decision: nonbinary
steps:
  - {name: a, type: shell, cmd: echo 2.549, parse: data,
     measurements: {rail: {value: result, high: 2.55, unit: V, uncertainty: 0.004}}}
"""
EXITS = """
import pytest

def pytest_runtest_teardown(item):
    pytest.exit("lab closed", returncode=7)
"""


class Case(NamedTuple):
    """A session and its verdict.

    Attributes:
        recipe: The text of the recipe after its head.
        word: The verdict of the recipe and of the run.
        box: The word in the box of the certificate.
        reason: A part of the reason, which the reports for people show.
        station: Text of the station file, with the resource of an instrument; empty without.
    """

    recipe: str
    word: str
    box: str
    reason: str
    station: str = ""


FAILS = "instruments: {psu: {resource: 'RESOURCE', timeout: 1s, safe: ['FAIL?']}}"
SIMULATES = f"instruments: {{psu: {{resource: '{SIMULATED}', backend: {POWER_SUPPLY}@sim}}}}"
CASES = {
    "dead service": Case(DEAD, "error", "FAILED", "the service died after"),
    "violated sample": Case(SAMPLED, "error", "FAILED", "9 is above the limit 5"),
    "safe state": Case(SCPI, "error", "FAILED", "no answer to 'FAIL?' within 1 s", FAILS),
    "pytest.exit": Case(CLOSED, "interrupted", "NOT COMPLETE", "lab closed"),
    "empty loop": Case(LOOP, "passed", "NOT COMPLETE", "list is empty"),
    "conditional": Case(NEAR, "conditional pass", "CONDITIONAL PASS", "conditional pass"),
    "simulated": Case(SCPI, "passed", "SIMULATED", "simulated", SIMULATES),
}


STATUS = {
    "passed": "success",
    "conditional pass": "success",
    "error": "failure",
    "interrupted": "aborted",
}
FACTS = {
    "safe state": "Not in its safe state",
    "empty loop": "List is empty",
    "simulated": "Simulated",
}


@pytest.fixture
def psu() -> Iterator[ScpiInstrument]:
    with ScpiInstrument() as instrument:
        instrument.answers["FAIL?"] = None
        yield instrument


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command of the command line; return what it printed."""
    capsys.readouterr()
    assert main([*args]) == 0
    return capsys.readouterr().out


def found(pattern: str, text: str) -> str:
    """Return the first group of a pattern, without markup."""
    match = re.search(pattern, text, re.DOTALL)
    assert match, f"{pattern} is not in:\n{text[:4_000]}"
    return re.sub(r"<[^>]+>", "", match[1]).replace("&nbsp;", " ").strip()


WORD = r"((?:not run|conditional pass|[a-z]+))\b"


def summaries(outlines: str, summary: str) -> dict[str, tuple[str, str]]:
    """Return the word for the recipe, and the whole text, at the terminal and for GitHub."""
    return {
        "terminal": (found(rf"\n{RECIPE} +{WORD}", outlines), outlines),
        "GitHub": (
            found(r"\| <code>recipes/r.yaml</code> \| \S&nbsp;([^|]+) \|", summary),
            summary,
        ),
        "heading of GitHub": (found(r"^## \S+ ([a-z ]+?)(?: \(|\n)", summary), summary),
    }


def views_of_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, str]]:
    """Return the word for the recipe, and the whole text, of each report for people."""
    page = (folder / "report.html").read_text()
    card = (
        r'<details class="recipe".*?<span class="state [^"]*"><span[^>]*>.</span> ([a-z ]+)</span>'
    )
    shown = printed(capsys, "runs", "show")
    return {
        "page": (found(card, page), page),
        "heading of the page": (found(r"<h1>.*?</span> ([a-z ]+)", page), page),
        "runs show": (found(rf"^\S+: {WORD}", shown), shown),
    }


def notable_facts(folder: Path) -> list[str]:
    """Return the cases whose fact stands in the head of the monitor's page."""
    shown = RunCache(folder.parent).read(folder.name, lambda view: head(view, {}))
    return [case for case, fact in FACTS.items() if fact in shown.facts]


def words_of_programs(
    project: Project, folder: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, str]:
    """Return the word for the recipe or the run in each report for programs."""
    record = load_record(folder)
    report = json.loads((project.path / "report.json").read_text())["orchestrator"]
    [listed] = json.loads(printed(capsys, "runs", "--json"))["runs"]
    [past] = (folder.parent.parent / "history").rglob("*.json")
    kept = json.loads(past.read_text())
    extra = json.loads((project.path / "ctrf.json").read_text())["results"]["extra"]["run"]
    sent = summary_of_run(record, folder.name)
    cache = RunCache(folder.parent)
    [row] = RunListCache(cache).rows(wait=True)
    return {
        "JSON report": report["recipes"][0]["verdict"],
        "runs --json": listed["verdict"],
        "runs --json, recipe": listed["recipes"][0]["verdict"],
        "history": kept["verdict"],
        "history, recipe": kept["recipes"][0]["verdict"],
        "CTRF": extra["verdict"],
        "CTRF, recipe": extra["recipes"][0]["verdict"],
        "notification": sent["verdict"],
        "monitor, list": row.verdict,
        "monitor, recipe": row.recipes[0].verdict,
        "monitor, page": cache.read(folder.name, lambda view: head(view, {}).verdict),
    }


@pytest.mark.parametrize("name", CASES)
def test_all_reports_have_the_same_verdict_and_its_reason(
    project: Project,
    psu: ScpiInstrument,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    case = CASES[name]
    project.write(RECIPE, META + case.recipe)
    project.write("svc.sh", SERVICE)
    (project.path / "svc.sh").chmod(0o755)
    project.write("conftest.py", EXITS if name == "pytest.exit" else "")
    if case.station:
        project.write("station.yaml", case.station.replace("RESOURCE", psu.resource))
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    files = (
        "--json-report-file=report.json",
        "--junitxml=junit.xml",
        "--recipe-export=ctrf:ctrf.json",
    )

    result = project.run("--json-report", *files, "-o", "recipe_html=true")

    is_good = case.word in ("passed", "conditional pass")
    assert (result.ret == 0) == is_good
    [folder] = run_folders(project.path / ".orchestrator/runs")
    printout = "\n".join(result.outlines)
    people = views_of_people(folder, capsys)
    if result.ret == 7:  # pytest asks for no summary at the terminal
        assert case.reason in printout
    else:
        people |= summaries(printout, (project.path / "summary.md").read_text())
    assert {view: word for view, (word, _) in people.items()} == dict.fromkeys(people, case.word)
    assert [
        one for one, (_, text) in people.items() if case.reason not in html.unescape(text)
    ] == []
    programs = words_of_programs(project, folder, capsys)
    assert programs == dict.fromkeys(programs, case.word)
    record = load_record(folder)
    assert notable_facts(folder) == [name] * (name in FACTS)
    stats = json.loads(printed(capsys, "stats", "--json"))
    counted = stats["total"]["runs"] - stats["total"]["last_passed"]
    assert (stats["total"]["last_passed"], counted) == (is_good, case.word == "error")
    verdicts = (verdict(record), verdict_of(record.recipes[RECIPE]))
    assert {otel.suite_status(word) for word in verdicts} == {STATUS[case.word]}
    proof = json.loads(statement(record, ("m", b""), {}, ""))["predicate"]["result"]
    assert proof == {"passed": "PASSED", "conditional pass": "WARNED"}.get(case.word, "FAILED")
    [suite] = ElementTree.parse(project.path / "junit.xml").getroot()
    assert (suite.get("errors") == suite.get("failures") == "0") == (case.word != "error")
    page = Path(printed(capsys, "report", "--certificate", "--recipe", RECIPE).strip()).read_text()
    assert found(r'<p class="word"><span[^>]*>.</span> ([A-Z ]+)</p>', page) == case.box
    assert case.reason in html.unescape(page)
