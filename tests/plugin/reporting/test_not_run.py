"""Reports of steps that did not run because the session ended first."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.runs.lookup import find_run, load_record
from pytest_orchestrator.runs.summary import summary, verdict, verdict_of
from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RunRecord
    from tests.plugin.conftest import Project

_FAIL = "type: shell, cmd: '[ -e good ]', parse: text"
_REPORTS = ("--json-report", "--json-report-file=report.json", "--junitxml=junit.xml")
_EXITS = "import pytest\n\ndef exits(ctx, params):\n    pytest.exit('bench is gone')\n"


@pytest.fixture
def two(project: Project) -> Project:
    """A project with two recipes; the second step of the first one fails."""
    project.by_shell = True
    project.recipe("x", {"one": "", "two": _FAIL, "three": ""}, {"off": ""})
    project.recipe("y", {"four": "", "five": ""}, {"dark": ""})
    return project


def _record(project: Project) -> RunRecord:
    return load_record(find_run(project.path / ".orchestrator/runs"))


def _states(record: RunRecord) -> dict[str, str]:
    return {step.name: step.state for step in record.steps}


def _counts(result: pytest.RunResult) -> str:
    return result.outlines[-1].strip("= ").partition(" in ")[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("-x",), "stopping after 1 failures"),
        (("--maxfail=1", "--recipe-jobs=2"), "stopping after 1 failures"),
        (("-x", "-n1"), "stopping after 1 failures"),
        (("--sw",), "Test failed, continuing from this test next run."),
    ],
)
def test_steps_after_the_failure_that_ends_a_session_are_not_run(
    two: Project, options: tuple[str, ...], words: str
) -> None:
    result = two.spawn(*options, *_REPORTS)

    why = f"the session ended before it: {words}"
    left = ("three", "four", "five", "dark")
    assert _counts(result) == "1 failed, 2 passed, 4 not run"
    shown = [line for line in result.outlines if line.startswith(("recipes/", "  "))]
    start = next(at for at, line in enumerate(shown) if line.startswith("recipes/x.yaml  "))
    texts = [" ".join(line.split()) for line in shown[start : start + 4]]
    assert [re.sub(r" \d+\.\d+ s ", " ", text) for text in texts] == [
        "recipes/x.yaml failed 4 steps 1 failed, 1 not run",
        "two failed exit code 1, expected 0",
        f"three not run {why}",
        f"recipes/y.yaml not run 3 steps {why}",
    ]
    tests = json.loads((two.path / "report.json").read_text())
    by_name = {test["nodeid"].partition("::")[2]: test for test in tests["tests"]}
    steps = {name: by_name[name]["metadata"]["orchestrator"]["step"] for name in left}
    assert {name: (by_name[name]["outcome"], one["state"]) for name, one in steps.items()} == (
        dict.fromkeys(left, ("not run", "not run"))
    )
    assert {one["reason"] for one in steps.values()} == {why}
    assert tests["summary"]["not run"] == 4
    assert tests["orchestrator"]["steps"] == {"passed": 2, "failed": 1, "not run": 4}
    assert [one["verdict"] for one in tests["orchestrator"]["recipes"]] == ["failed", "not run"]
    cases = list(ElementTree.parse(two.path / "junit.xml").getroot().iter("testcase"))
    skipped = {one.get("name"): one.find("skipped") for one in cases}
    assert [skipped[name].get("message") for name in left if skipped[name] is not None] == [why] * 4  # type: ignore[union-attr]
    assert len(cases) == 7
    record = _record(two)
    assert _states(record) == {"one": "passed", "two": "failed", "off": "passed"} | (
        dict.fromkeys(left, "not run")
    )
    assert [verdict_of(one) for one in record.recipes.values()] == ["failed", "not run"]
    assert summary(record)["tests"] == {"passed": 2, "failed": 1, "not run": 4}


@pytest.mark.parametrize(
    ("options", "states"),
    [
        (("-x",), {"four": "not run"}),
        (("-x", "-n1"), {"four": "not run"}),
        (("-n1", "--dist=each"), {"four": "passed"}),
    ],
)
def test_the_start_of_a_recipe_is_recorded_completely_by_each_process(
    two: Project, options: tuple[str, ...], states: dict[str, str]
) -> None:
    two.recipe(
        "y", {"four": "type: shell, cmd: './four.sh', parse: text", "five": ""}, {"dark": ""}
    )
    (two.path / "four.sh").write_text("#!/bin/sh\n")
    (two.path / "four.sh").chmod(0o755)
    two.spawn("recipes/x.yaml", "recipes/y.yaml::four", *options)

    y = _record(two).recipes["recipes/y.yaml"]
    assert (
        y.about["sha256"] == hashlib.sha256((two.path / "recipes/y.yaml").read_bytes()).hexdigest()
    )
    assert {name: y.steps[name].state for name in states} == states
    assert y.unselected == {"five", "dark"}
    assert list(y.digests) == ["four.sh"]


@pytest.mark.parametrize("options", [(), ("-n1",)])
def test_a_step_that_ends_the_session_is_interrupted_with_the_cause(
    two: Project, options: tuple[str, ...]
) -> None:
    two.write("ends.py", _EXITS)
    leave = "type: python, module: ends, function: exits"
    two.recipe("x", {"one": "", "two": leave, "three": ""})

    result = two.spawn(*options)
    coloured = two.spawn(*options, "--color=yes", "--tb=line").outlines

    assert coloured[-1].startswith("\x1b[31m")  # red, although pytest knows no failed test
    title = next(at for at, line in enumerate(coloured) if "= INTERRUPTED =" in line)
    shown = coloured[title + 1].removeprefix(f"{two.path}/")
    assert re.fullmatch(r"recipes/x.yaml:3: interrupted after \d+\.\d s: bench is gone", shown)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert _counts(result) == "1 passed, 1 interrupted, 4 not run"
    record = _record(two)
    two_ = record.recipes["recipes/x.yaml"].steps["two"]
    assert two_.block is not None
    reason = two_.block.step.reason or ""
    assert (two_.state, two_.block.step.state) == ("interrupted", "interrupted")
    assert re.fullmatch(r"interrupted after \d+\.\d s: bench is gone", reason)
    assert _states(record)["three"] == "not run"
    assert [verdict_of(one) for one in record.recipes.values()] == ["interrupted", "not run"]
    assert (verdict(record), summary(record)["tests"]) == (
        "interrupted",
        {"passed": 1, "interrupted": 1, "not run": 4},
    )


@pytest.mark.parametrize(
    ("option", "shown"),
    [("all", ["stdout"]), ("stdout", ["stdout"]), ("log", []), ("no", [])],
)
def test_show_capture_selects_the_sections_of_an_interrupted_step(
    project: Project, option: str, shown: list[str]
) -> None:
    project.write(
        "ends.py",
        """
        import pytest

        def exits(ctx, params):
            print("on stdout", flush=True)
            pytest.exit("bench is gone")
        """,
    )
    project.recipe("x", {"one": "type: python, module: ends, function: exits"})

    lines = project.spawn(f"--show-capture={option}").outlines

    titles = (re.fullmatch(r"-+ Captured (\w+) call -+", line) for line in lines)
    assert [match[1] for match in titles if match] == shown


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_a_long_cause_is_cut_in_the_report_of_each_step(project: Project, isolation: str) -> None:
    project.write("ends.py", _EXITS.replace("'bench is gone'", "'first line\\n' + 'x' * 3_000_000"))
    first = f"type: python, module: ends, function: exits, isolation: {isolation}"
    project.recipe("x", {"one": first, **{f"late_{number}": "" for number in range(9)}})
    project.recipe("y", {"two": "", "three": ""})

    result = project.spawn("--json-report", "--json-report-file=report.json")

    (line,) = (one for one in result.outlines if one.startswith("recipes/y.yaml  "))
    assert line.endswith("  the session ended before it: first line")
    (journal,) = project.path.glob(".orchestrator/runs/2*/journal.jsonl")
    assert journal.stat().st_size < 100_000
    assert (project.path / "report.json").stat().st_size < 100_000
    steps = _record(project).steps
    assert {step.reason for step in steps if step.state == "not run"} == {steps[-1].reason}
    assert "characters are left out here" in steps[-1].reason


def test_lf_keeps_a_failed_step_that_did_not_run_again(two: Project) -> None:
    def failed() -> list[str]:
        cache = two.path / ".pytest_cache/v/cache/lastfailed"
        return sorted(json.loads(cache.read_text()))

    two.recipe("z", {"six": _FAIL})
    two.spawn()
    before = failed()

    two.spawn("-x")

    assert before == failed() == ["recipes/x.yaml::two", "recipes/z.yaml::six"]


def test_a_resumed_run_runs_the_steps_that_did_not_run(two: Project) -> None:
    two.spawn("-x")
    (two.path / "good").touch()
    two.forget()

    result = two.spawn("--recipe-resume")

    header = [line for line in result.outlines if line.startswith("    runs again: ")]
    assert header == ["    runs again: recipes/x.yaml::two (it failed there)"]
    assert _counts(result) == "6 passed, 1 skipped"
    assert two.ran == ["three", "off", "four", "five", "dark"]


def test_a_restored_step_stays_restored_if_the_session_ends_before_it(two: Project) -> None:
    two.recipe("a", {"first": "needs: []", "stop": _FAIL})
    two.spawn("recipes/a.yaml")
    two.recipe("a", {"first": "needs: []", "stop": _FAIL, "late": "needs: []"})
    two.write("test_0.py", "def test_0():\n    raise KeyboardInterrupt\n")

    two.spawn("--recipe-resume", "test_0.py", "recipes/a.yaml")

    assert _states(_record(two)) == {"first": "restored", "stop": "not run", "late": "not run"}


def test_a_session_with_a_collection_error_reports_no_step_as_not_run(two: Project) -> None:
    two.write("recipes/bad.yaml", "steps: 5\n")

    result = two.spawn("--junitxml=junit.xml")

    assert _counts(result) == "1 error"
    assert (two.path / "junit.xml").read_text().count("<testcase") == 1


@pytest.mark.parametrize("options", [("--collect-only",), ("--setup-only",), ("--lf",)])
def test_a_session_that_reaches_its_end_reports_no_step_as_not_run(
    two: Project, options: tuple[str, ...]
) -> None:
    assert "not run" not in two.spawn(*options).stdout.str()


def test_the_selected_steps_of_a_killed_run_are_not_run(two: Project) -> None:
    kill = "type: shell, cmd: 'touch waits; sleep 600', parse: text"
    two.recipe("x", {"one": "", "two": kill, "three": "", "left": ""}, {"off": ""})
    process = two.pytester.popen(
        [*PYTEST, "--deselect=recipes/x.yaml::left"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (two.path / "waits").exists():
        assert process.poll() is None
    process.kill()
    process.wait()

    record = _record(two)

    assert _states(record) == {
        "one": "passed",
        "two": "interrupted",
        "three": "not run",
        "left": "not selected",
        "off": "not run",
    }
    assert summary(record)["steps"] == {"passed": 1, "interrupted": 1, "not run": 2}
    assert record.recipes["recipes/x.yaml"].steps["two"].reason == (
        "pytest was killed, or the machine went down, while it ran"
    )


def test_a_session_that_leaves_out_a_step_without_a_cause_is_red(project: Project) -> None:
    project.recipe("x", {"one": "", "two": ""})
    project.write(
        "conftest.py",
        """
        def pytest_runtest_protocol(item):
            return True if item.name == "two" else None
        """,
    )

    result = project.run()

    assert (_counts(result), result.ret) == ("1 passed, 1 not run", 1)
