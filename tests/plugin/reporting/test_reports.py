"""Reports of steps: the JSON report, JUnit, and the table on the terminal."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.runs.lookup import find_run, load_record
from pytest_orchestrator.runs.summary import summary

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_HEAD = """
version: 1
name: psu check
description: Checks the supply.
test_meta:
  test_id: PSU-7
  operator: A. Tester
  dut: {serial_number: A17}
tags: [smoke]
"""
_FIGURES = {"seconds", "cpu_user_seconds", "cpu_system_seconds", "read_bytes", "write_bytes"}


@pytest.fixture
def psu(project: Project) -> Project:
    """A project with a recipe with a step of every outcome."""
    project.recipe(
        "psu",
        {
            "flash": "tags: [slow], description: Writes.",
            "measure": "type: shell, cmd: echo warm >&2; exit 3, parse: text, args: {RANGE: 200}, "
            "success: {exit_code: [0, 4], files_exist: [steps.py]}",
            "release": "",
            "pause": "needs: [flash], function: pause",
            "probe": "needs: [], fixtures: [nothing]",
        },
        {"off": ""},
        head=_HEAD,
    )
    return project


def test_the_json_block_identifies_step_and_recipe(psu: Project) -> None:
    block = psu.blocks()["flash"]

    assert block["schema_version"] == "1.0"
    assert block["run"]["worker"] == "main"
    assert (psu.path / ".orchestrator/runs" / block["run"]["id"]).is_dir()
    assert block["recipe"] == {
        "name": "psu check",
        "path": "recipes/psu.yaml",
        "sha256": block["recipe"]["sha256"],
        "test_meta": {
            "test_id": "PSU-7",
            "operator": "A. Tester",
            "dut": {"serial_number": "A17"},
        },
        "description": "Checks the supply.",
    }
    assert re.fullmatch("[0-9a-f]{64}", block["recipe"]["sha256"])
    assert block["step"] == {
        "name": "flash",
        "node": "recipes/psu.yaml::flash",
        "index": 1,
        "type": "python",
        "line": 10,
        "needs": [],
        "tags": ["smoke", "slow"],
        "state": "passed",
        "attempt": 1,
        "description": "Writes.",
    }


def test_the_json_block_contains_writes_times_and_figures(psu: Project) -> None:
    blocks = psu.blocks()

    flash, measure = blocks["flash"], blocks["measure"]
    (write,) = flash["context"]["writes"]
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z"
    assert re.fullmatch(stamp, write.pop("ts"))
    assert write == {"key": "done.flash", "who": "flash", "op": "set", "old": None, "new": True}
    assert re.fullmatch(stamp, flash["time"]["start"])
    assert flash["time"]["stop"] >= flash["time"]["start"]
    assert flash["time"]["seconds"] == flash["resources"]["seconds"]
    of_processes = {"max_rss", "largest_rss", "processes", "source"}
    assert set(flash["resources"]) - _FIGURES - {"samples"} == of_processes | {"rss_delta"}
    assert set(measure["resources"]) - _FIGURES - {"samples"} == of_processes


def test_the_json_block_contains_criteria_and_process(psu: Project) -> None:
    block = psu.blocks()["measure"]

    assert block["criteria"] == [
        {
            "name": "exit_code",
            "line": 11,
            "held": False,
            "wanted": [0, 4],
            "measured": 3,
            "reason": "exit code 3, expected 0 or 4",
        },
        {"name": "files_exist", "line": 11, "held": True, "wanted": "steps.py"},
    ]
    assert block["process"] == {
        "argv": ["/bin/sh", "-e", "-c", "echo warm >&2; exit 3"],
        "cwd": ".",
        "stdout_bytes": 0,
        "stderr_bytes": 5,
        "exit_code": 3,
    }


def test_the_json_block_contains_the_state_of_each_outcome(psu: Project) -> None:
    blocks = psu.blocks()

    def said(name: str) -> dict[str, Any]:
        step = blocks[name]["step"]
        return {key: step[key] for key in ("state", "kind", "reason", "blocked_by") if key in step}

    assert said("measure") == {
        "state": "failed",
        "kind": "exit_code",
        "reason": "exit code 3, expected 0 or 4",
    }
    assert said("release") == {
        "state": "blocked",
        "reason": "blocked by recipes/psu.yaml::measure",
        "blocked_by": "measure",
    }
    assert said("pause") == {"state": "skipped", "reason": "nothing to do"}
    assert said("probe") == {
        "state": "error",
        "kind": "exception",
        "reason": "fixture 'nothing' not found (see `pytest --fixtures`)",
    }
    assert said("off") == {"state": "passed"}
    assert "time" not in blocks["release"]
    assert "resources" not in blocks["release"]


def test_tests_that_are_no_steps_have_no_block(psu: Project) -> None:
    psu.write("test_x.py", "def test_x(): pass")

    psu.run("--json-report", "test_x.py")

    (test,) = json.loads((psu.path / ".report.json").read_text())["tests"]
    assert "metadata" not in test


def test_junit_properties_equal_the_json_block(psu: Project) -> None:
    psu.run("--junitxml=junit.xml", "-o", "junit_family=xunit1")

    cases = {
        case.attrib["name"]: {
            one.attrib["name"]: one.attrib["value"] for one in case.iter("property")
        }
        for case in ElementTree.parse(psu.path / "junit.xml").getroot().iter("testcase")
    }
    figures = {"rss_delta", "max_rss", "largest_rss", "processes", "samples", *_FIGURES}
    figures |= {"max_rss_at_most", "largest_rss_at_most"}
    actual = {
        name: {
            key: value
            for key, value in found.items()
            if key.removesuffix("_bytes") not in figures and key not in figures
        }
        for name, found in cases.items()
    }
    same = {"recipe": "recipes/psu.yaml", "test_id": "PSU-7", "operator": "A. Tester"}
    same |= {"dut": "A17", "dut.serial_number": "A17"}
    assert actual["flash"] == same | {"step": "flash", "type": "python", "outcome": "passed"}
    assert actual["measure"] == same | {
        "step": "measure",
        "type": "shell",
        "outcome": "failed",
        "kind": "exit_code",
        "reason": "exit code 3, expected 0 or 4",
    }
    assert actual["release"] == same | {
        "step": "release",
        "type": "python",
        "outcome": "blocked",
        "reason": "blocked by recipes/psu.yaml::measure",
        "blocked_by": "measure",
    }
    assert actual["pause"]["outcome"] == "skipped"
    assert float(cases["measure"]["seconds"]) > 0


def test_reports_of_items_contain_only_plain_data(psu: Project) -> None:
    psu.write(
        "conftest.py",
        """
        import json

        def pytest_runtest_logreport(report):
            block = getattr(report, "orchestrator", None)
            if block is not None:
                kinds = {type(value) for _, value in report.user_properties}
                assert json.loads(json.dumps(block)) == block
                assert kinds <= {str, int, float, bool}
                with open("told.txt", "a") as file:
                    print(report.nodeid, file=file)
        """,
    )
    recorder = psu.run("--json-report").reprec  # type: ignore[attr-defined]

    assert len((psu.path / "told.txt").read_text().splitlines()) == 6
    # pytest keeps its reports to the end, so blocks on them would be in memory twice.
    assert not [report for report in recorder.getreports() if hasattr(report, "orchestrator")]


def test_a_large_value_is_not_in_reports(project: Project) -> None:
    project.write(
        "bench.py",
        """
        def fill(ctx, params):
            ctx.set("large", "x" * 100_000)
            return {"status": "ok"}
        """,
    )
    project.recipe("x", {"fill": "type: python, module: bench, function: fill"})

    (write,) = project.blocks()["fill"]["context"]["writes"]

    assert write["new"] == "… 100002 bytes of JSON are left out here …"


def test_a_rerun_step_is_reported_by_its_last_run(project: Project) -> None:
    project.write(
        "bench.py",
        """
        def tries(ctx, params):
            return {"status": "ok" if ctx.increment("tries") == 2 else "no"}
        """,
    )
    project.recipe("x", {"tries": "type: python, module: bench, function: tries"})

    block = project.blocks("--reruns", "2")["tries"]

    assert block["step"]["state"] == "passed"
    assert block["context"]["writes"][0]["new"] == 2
    report = json.loads((project.path / "report.json").read_text())
    assert report["summary"] == {"passed": 1, "total": 1, "collected": 1}
    assert [(test["outcome"], test["flaky"]) for test in report["tests"]] == [("passed", True)]
    assert report["environment"].keys() >= {"host", "python", "pytest", "platform", "plugins"}
    assert report["orchestrator"]["run"] == {"id": block["run"]["id"]}
    assert report["orchestrator"]["steps"] == {"passed": 1}


_FLAKY = """
import pytest

SET_UP = []

@pytest.fixture
def warm():
    SET_UP.append(True)
    assert len(SET_UP) > 1

def count(ctx, params):
    assert ctx.increment(f"runs.{params['name']}") > params["fails"]
    return {"status": "ok"}
"""


@pytest.mark.parametrize("options", [(), ("-n1",)])
def test_steps_that_passed_by_retry_or_a_rerun_are_listed_as_flaky_once(
    project: Project, options: tuple[str, ...]
) -> None:
    project.write("conftest.py", _FLAKY)
    call = "type: python, module: conftest, function: count, needs: []"
    project.recipe(
        "x",
        {
            "good": f"{call}, params: {{name: good, fails: 0}}",
            "tried": f"{call}, params: {{name: tried, fails: 1}}, retry: {{attempts: 2}}",
            "rerun": f"{call}, params: {{name: rerun, fails: 1}}",
            "both": f"{call}, params: {{name: both, fails: 3}}, retry: {{attempts: 2}}",
            "warmed": "fixtures: [warm], needs: []",
            "bad": f"{call}, params: {{name: bad, fails: 9}}",
        },
    )

    result = project.run(
        "--reruns=1",
        "--json-report",
        "--json-report-file=report.json",
        "--recipe-table=all",
        *options,
    )

    flaky = [f"recipes/x.yaml::{name}" for name in ("tried", "rerun", "both", "warmed")]
    report = json.loads((project.path / "report.json").read_text())
    assert report["orchestrator"]["flaky"] == flaky
    assert summary(load_record(find_run(project.path / ".orchestrator/runs")))["flaky"] == flaky
    rows = (re.match(r" \w+ +((passed|failed)( \(.*?\))?) ", line) for line in result.outlines)
    assert [match[1] for match in rows if match] == [
        *("passed", "passed (attempt 2)", "passed (rerun)", "passed (attempt 2, rerun)"),
        *("passed (rerun)", "failed (rerun)"),
    ]


def test_a_step_runs_in_the_first_rerun_after_its_setup_failed(project: Project) -> None:
    project.write("conftest.py", _FLAKY)
    project.recipe("x", {"warmed": "fixtures: [warm]"})

    project.run("--reruns=1").assert_outcomes(passed=1)

    assert project.ran == ["warmed"]


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_table_fits_the_terminal(
    psu: Project, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))

    lines = psu.run("--tb=no", "--recipe-table=all").outlines

    first = next(at for at, line in enumerate(lines) if "- recipes/psu.yaml: failed -" in line)
    table = lines[first + 1 : first + 8]
    assert max(map(len, table)) <= columns
    assert [line.endswith("…") for line in table] == 7 * [columns == 40]
    assert [line[:18].rstrip() for line in table] == [
        " step     state",
        " flash    passed",
        " measure  failed",
        " release  blocked",
        " pause    skipped",
        " probe    error",
        " off      passed",
    ]


def test_the_table_has_figures_and_written_keys(psu: Project) -> None:
    lines = psu.run("--tb=no", "--recipe-table=all").outlines

    figures = r"( +\d+\.\d\d){2} +(-|(≤ )?\d+\.\d)  "
    shown = [re.sub(figures, " # ", line) for line in lines]
    first = next(at for at, line in enumerate(lines) if "- recipes/psu.yaml: failed -" in line)
    assert shown[first + 1 : first + 8] == [
        " step     state    seconds  CPU s  peak MB  context keys written",
        " flash    passed # done.flash",
        " measure  failed # -",
        " release  blocked        -      -        -  -",
        " pause    skipped # -",
        " probe    error          -      -        -  -",
        " off      passed # done.off",
    ]


def test_artifacts_are_in_the_run_folder(project: Project) -> None:
    project.ini("recipe_max_artifact = 1kB")
    cmd = "cmd: 'mkdir out; echo 1 > out/a.csv; head -c 1001 /dev/zero > out/b.csv; exit 1'"
    project.recipe(
        "deep/x", {"a": f"type: shell, {cmd}, parse: text, artifacts: [out/*.csv, '*.png']"}
    )

    block = project.blocks()["a"]

    assert block["artifacts"] == [
        {"path": "artifacts/deep/x/out/a.csv", "type": "text/csv", "bytes": 2}
    ]
    assert block["warnings"] == [
        "artifacts: out/b.csv has 1,001 bytes, and recipe_max_artifact is 1,000; it is left out",
        "artifacts: no file matches *.png",
    ]
    latest = project.path / ".orchestrator/runs/latest"
    assert (latest / "artifacts/deep/x/out/a.csv").read_text() == "1\n"
