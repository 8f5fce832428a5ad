"""One count everywhere: each report of a session counts the same steps by the same words."""

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.cli.main import main
from pytest_orchestrator.monitor.pages.head import head
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.monitor.run_list import RunListCache
from pytest_orchestrator.runs.lookup import load_record, run_folders
from tests.monitor.pages.opened import opened
from tests.plugin.conftest import Project

pytestmark = pytest.mark.unmeasured

RECIPE = "recipes/r.yaml"
TEXT = """
name: r
test_meta: {dut: SN7}
defaults: {parse: text}
sampling: {amps: {cmd: echo 1, every: 1s, high: 5}}
steps:
  - {name: loop, type: shell, foreach: [1, 2, 3], cmd: 'true'}
  - {name: cell, type: shell, needs: [], matrix: {gain: [1, 2]}, cmd: 'true'}
  - {name: slow, type: shell, needs: [], cmd: sleep 60, timeout: 100ms}
  - {name: bad, type: shell, needs: [], cmd: 'false'}
  - {name: after, type: shell, needs: [bad], cmd: 'true'}
  - {name: left, type: shell, needs: [], cmd: 'true'}
finally:
  - {name: off, type: shell, cmd: 'true'}
"""
STEPS = {"passed": 4, "timeout": 1, "failed": 1, "blocked": 1}
"""A loop is one step and each cell of a matrix is one; `amps` is none, `left` is not selected."""


def words(text: str) -> dict[str, int]:
    """Return numbers with their words in a text such as ``1 failed, ✘ 2 blocked``."""
    pairs = re.findall(r"([\d,]+) (passed|failed|timeout|blocked)", text)
    return {word: int(number) for number, word in pairs}


def signed(text: str) -> dict[str, int]:
    """Return words with their numbers in a row of signs such as ``✘ failed 1``."""
    plain = re.sub(r"<[^>]+>|\s+", " ", text)
    pairs = re.findall(r"(passed|failed|timeout|blocked) +(\d+)", plain)
    return {word: int(number) for word, number in pairs}


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """Run a command of the command line; return what it printed."""
    capsys.readouterr()
    assert main([*args]) == 0
    return capsys.readouterr().out


@pytest.fixture
def ran(project: Project, monkeypatch: pytest.MonkeyPatch) -> str:
    """A session with the recipe; the text of its terminal."""
    project.write(RECIPE, TEXT)
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))
    files = ("--json-report-file=report.json", "--junitxml=junit.xml")
    deselected = f"--deselect={RECIPE}::left"
    result = project.run("--json-report", *files, "-o", "recipe_html=true", deselected)
    return "\n".join(result.outlines)


def counts_of(page: str) -> list[str]:
    """Return the counts in the head of a page: those of its steps, and of its sampled values."""
    counts = re.search(r'<p class="counts">(.*?)</p>', page, re.DOTALL)
    assert counts
    return counts[1].split("sampled:")


def test_all_reports_count_the_same_steps_and_a_timeout_apart(
    project: Project, ran: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = run_folders(project.path / ".orchestrator/runs")[0]
    record, cache = load_record(folder), RunCache(folder.parent)
    page = (folder / "report.html").read_text()
    top = cache.read(folder.name, lambda view: head(view, {}))
    [row] = RunListCache(cache).rows(wait=True)
    report = json.loads((project.path / "report.json").read_text())["orchestrator"]
    [listed] = json.loads(printed(capsys, "runs", "--json"))["runs"]
    shown = printed(capsys, "runs", "show")
    [past] = (folder.parent.parent / "history").rglob("*.json")
    kept = json.loads(past.read_text())["recipes"][0]
    summary = (project.path / "summary.md").read_text()
    outcomes = [
        one.get("value")
        for case in ElementTree.parse(project.path / "junit.xml").iter("testcase")
        for one in case.iter("property")
        if one.get("name") == "outcome"
    ]
    heading, of_samples = counts_of(page)
    live, of_live_samples = counts_of(opened(folder.parent)(f"/run/{folder.name}"))
    table = re.findall(r"^  \S+ +(passed|failed|timeout|blocked) ", shown, re.MULTILINE)

    assert re.search(rf"^{RECIPE} +failed +7 steps ", ran, re.MULTILINE)
    found = {
        "page": signed(heading),
        "monitor, page": signed(live),
        "monitor, list": words(row.steps),
        "JSON report": report["steps"],
        "JSON report, recipe": report["recipes"][0]["steps"],
        "JUnit": dict(Counter(outcomes)),
        "runs --json": listed["steps"],
        "runs --json, recipe": listed["recipes"][0]["steps"],
        "runs show, steps and sampled value": dict(Counter(table)),
        "GitHub": words(summary.partition("**7 steps**")[2].partition("\n")[0]),
    }
    several = {**STEPS, "passed": 5}
    expected = dict.fromkeys(found, STEPS) | {"runs show, steps and sampled value": several}
    assert found == expected
    assert words(ran.partition("recipes/r.yaml  failed")[2].partition("\n")[0]) == {
        word: number for word, number in STEPS.items() if word != "passed"
    }
    assert "7 steps:" in heading
    sampled = [signed(of_samples), signed(of_live_samples), report["sampled"], listed["sampled"]]
    assert sampled == [{"passed": 1}] * 4
    assert (top.done, top.total) == (7, 7)
    assert "**7 steps**" in summary
    assert (kept["selected"], kept["total"]) == (7, 8)
    assert record.recipes[RECIPE].steps["left"].state == "not selected"
    certificate = Path(printed(capsys, "report", "--certificate").strip()).read_text()
    assert "4 of 8 steps passed" in certificate
    assert "amps (sampled value)" in certificate


def test_a_run_that_only_the_history_has_counts_the_same_steps(project: Project, ran: str) -> None:
    folder = run_folders(project.path / ".orchestrator/runs")[0]
    shutil.rmtree(folder)

    [row] = RunListCache(RunCache(folder.parent)).rows(wait=True)

    assert not row.has_folder
    assert words(row.steps) == STEPS
