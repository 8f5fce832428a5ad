"""pytest-xdist: the workers of a session share one Context."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.core import files as core_files
from pytest_orchestrator.runs.lookup import find_run, load_record
from pytest_orchestrator.runs.summary import verdict_of
from tests.tiers import kept_first

if TYPE_CHECKING:
    from pytest_orchestrator.runs.record import RunRecord
    from tests.plugin.conftest import Project

_CONFTEST = """
import json
from pathlib import Path

from pytest_orchestrator.plugin.session_state import state_of


def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):
        context = state_of(session.config).context
        told = {"values": context.to_dict(), "count": len(context.get_history("count"))}
        Path("context.json").write_text(json.dumps(told))
"""
_TESTS = """
import pytest


@pytest.mark.parametrize("number", range(4))
def test_count(ctx, number):
    for _ in range(100):
        ctx.increment("count")
    ctx.append("tests", number)
"""
_STEP = """
def step(ctx, params):
    for _ in range(50):
        ctx.increment("count")
    ctx.append("steps", params["name"], who=params["name"])
    return {"status": "ok"}
"""


@pytest.fixture
def counting(project: Project) -> Project:
    """Four tests and two recipes that count in one Context."""
    project.write("conftest.py", _CONFTEST)
    project.write("test_x.py", _TESTS)
    project.write("counts.py", _STEP)
    for name in ("a", "b"):
        own = "context: recipe\n" if name == "b" else ""
        call = f"type: python, module: counts, function: step, params: {{name: {name}}}"
        shell = "type: shell, parse: text, cmd: 'echo $TOKEN_OF_IT', needs: [one]"
        text = f"steps:\n  - {{name: one, {call}}}\n  - {{name: two, {shell}}}\n"
        project.write(f"recipes/{name}.yaml", own + text)
    return project


def test_all_workers_write_to_one_context(counting: Project) -> None:
    result = counting.spawn("-n", "2")
    output = (counting.path / "context.json").read_text()

    assert result.parseoutcomes() == {"passed": 8}
    assert '"count": 450' in output
    assert '"count": 450}' in output
    assert sorted(output.partition('"tests": [')[2].partition("]")[0].split(", ")) == list("0123")
    assert '"steps": ["a"]' in output
    assert "ResourceWarning" not in result.stderr.str()
    _check(load_record(find_run(counting.path / ".orchestrator/runs")))


def _check(record: RunRecord) -> None:
    """Check that one journal has the events of three processes."""
    assert record.state == "finished"
    assert {step.name: step.state for step in record.steps} == {"one": "passed", "two": "passed"}
    assert {recipe.about["name"] for recipe in record.recipes.values()} == {"a", "b"}
    assert record.changes.values()["count"] == 450
    assert record.changes.values("recipes/b.yaml")["count"] >= 50
    assert {one.by for one in record.changes.history("steps")} == {"recipes/a.yaml::one"}
    assert len(record.tests) == 8
    workers = {test.worker for test in record.tests.values()}
    assert workers == {"gw0", "gw1"}


def test_workers_share_no_context_with_dist_each(counting: Project) -> None:
    result = counting.spawn("-n", "2", "--dist", "each")

    assert result.parseoutcomes() == {"passed": 16}
    assert '"values": {}' in (counting.path / "context.json").read_text()


_DIES = """
import os


def note(ctx, params):
    with open("ran.txt", "a") as file:
        file.write(params["name"] + "\\n")
    ctx.append("ran", params["name"])
    if params["name"] == "b":
        os._exit(9)
    return {"status": "ok"}
"""


_KILLS = """
import os


def test_kills():
    with open("ran.txt", "a") as file:
        file.write("kills\\n")
    os._exit(9)


def test_after():
    with open("ran.txt", "a") as file:
        file.write("after\\n")
"""


def test_a_dead_worker_loses_no_write_and_affects_no_other_worker(project: Project) -> None:
    project.write("dies.py", _DIES)
    lines = [
        f"  - {{name: {name}, type: python, module: dies, function: note, isolation: inline, "
        f"params: {{name: {name}}}{needs}}}"
        for name, needs in (("a", ""), ("b", ""), ("c", ""), ("d", ""), ("e", ", needs: [a]"))
    ]
    project.write("recipes/x.yaml", "steps:\n" + "\n".join(lines) + "\n")
    project.write("test_x.py", _KILLS)
    result = project.spawn("-n", "1", "-rs", "--junitxml=junit.xml", "--json-report")
    record = load_record(find_run(project.path / ".orchestrator/runs"))

    assert result.parseoutcomes() == {"passed": 3, "failed": 1, "interrupted": 1, "skipped": 2}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    junit = ElementTree.parse(project.path / "junit.xml").getroot()
    names = [str(one.get("name")) for one in junit.iter("testcase")]
    assert sorted(names) == ["a", "b", "c", "d", "e", "test_after", "test_kills"]
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    outcomes = {test["nodeid"].rpartition("::")[2]: test["outcome"] for test in tests}
    assert (outcomes["b"], len(tests)) == ("interrupted", 7)
    assert sorted(project.ran) == ["a", "after", "b", "e", "kills"]
    assert record.changes.values() == {"ran": ["a", "b", "e"]}
    block = {
        name: step.block.step
        for name, step in record.recipes["recipes/x.yaml"].steps.items()
        if step.block
    }
    assert {name: (one.state, one.kind or None) for name, one in block.items()} == {
        "a": ("passed", None),
        "b": ("interrupted", "interrupted"),
        "c": ("blocked", None),
        "d": ("blocked", None),
        "e": ("passed", None),
    }
    assert block["b"].reason == "worker gw0 of pytest-xdist died while it ran"
    assert verdict_of(record.recipes["recipes/x.yaml"]) == "interrupted"
    assert block["d"].reason == "blocked by recipes/x.yaml::b"


def test_pending_finally_of_a_dead_worker_is_reported_without_a_replacement(
    project: Project,
) -> None:
    project.write("dies.py", _DIES)
    inline = "type: python, isolation: inline, params: {name: %s}, module: dies, function: note"
    project.recipe("x", {name: inline % name for name in "abc"}, {"last": inline % "last"})

    result = project.spawn(
        "-n", "1", "--max-worker-restart=0", "--json-report", "--recipe-table=all"
    )

    assert project.ran == ["a", "b"]
    folder = find_run(project.path / ".orchestrator/runs")
    cure = f"pytest --recipe-resume={folder.name} recipes/x.yaml"
    result.stdout.fnmatch_lines(
        [
            f"orchestrator: no worker was left for `finally` of recipes/x.yaml (last): {cure}",
            "*- recipes/x.yaml: interrupted -*",
            " a *passed *",
            " b *interrupted *",
            " c *not run *",
            " last *not run *",
        ]
    )
    step = load_record(folder).recipes["recipes/x.yaml"].steps["b"]
    assert step.block is not None
    assert (step.block.step.kind, step.block.step.reason) == (
        "interrupted",
        "worker gw0 of pytest-xdist died while it ran",
    )
    report = json.loads((project.path / ".report.json").read_text())
    assert report["orchestrator"]["steps"] == {"passed": 1, "interrupted": 1, "not run": 2}
    project.spawn("--collect-only").stdout.fnmatch_lines(
        [f"*was ended before `finally` of recipes/x.yaml (last) had run: {cure}"]
    )


@pytest.mark.parametrize("done", ["", "a"])
def test_no_worker_repeats_the_steps_that_another_has_run(project: Project, done: str) -> None:
    project.write("dies.py", _DIES)
    project.write("ran.txt", "")
    inline = "type: python, isolation: inline, params: {name: %s}, module: dies, function: note"
    project.recipe("x", {name: inline % name for name in f"{done}bcdef"}, {"last": inline % "last"})
    for number in range(6):
        waits = "type: shell, parse: text, cmd: 'until grep -qx b ran.txt; do sleep 0.01; done'"
        project.recipe(f"y{number}", {"wait": waits, "more": waits})

    result = project.spawn("-n", "2")

    assert result.parseoutcomes() == {
        "passed": 13 + len(done),
        "interrupted": 1,
        "skipped": 4,
    }
    assert project.ran == [*done, "b", "last"]


_OUTLASTS = """
import time
from pathlib import Path


def pytest_unconfigure(config):
    if hasattr(config, "workerinput"):
        Path("ended").touch()


def outlast(ctx, params):
    while not Path("ended").exists():
        time.sleep(0.01)
    with open("ran.txt", "a") as file:
        file.write("outlast\\n")
    return {"status": "ok"}
"""


def test_a_later_worker_does_not_end_the_steps_of_another(project: Project) -> None:
    project.write("dies.py", _DIES)
    project.write("conftest.py", _OUTLASTS)
    inline = "type: python, isolation: inline, timeout: 20s"
    note = f"{inline}, module: dies, function: note, params: {{name: %s}}"
    outlast = f"{inline}, module: conftest, function: outlast"
    project.recipe("x", {"b": note % "b", "c": f"{note % 'c'}, needs: []"}, {"over": note % "over"})
    project.recipe("y", {"first": note % "first", "outlast": outlast}, {"off": note % "off"})

    result = project.spawn("-n", "2")

    assert result.parseoutcomes() == {"passed": 5, "interrupted": 1}
    assert project.ran[-4:] == ["c", "over", "outlast", "off"]


def test_a_run_is_resumed_with_xdist_workers(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("dies.py", _DIES.replace('== "b"', '== os.environ.get("DIES")'))
    project.write("test_x.py", "def test_x(ctx):\n    pass\n")
    lines = [
        f"  - {{name: {name}, type: python, module: dies, function: note, idempotent: true, "
        f"params: {{name: {name}}}}}"
        for name in ("a", "b", "c")
    ]
    project.write("recipes/x.yaml", "steps:\n" + "\n".join(lines) + "\n")
    with monkeypatch.context() as here:
        here.setenv("DIES", "b")
        first = project.spawn("-n", "2")
    again = project.spawn("-n", "2", "-rs", "--recipe-resume")
    record = load_record(find_run(project.path / ".orchestrator/runs"))

    assert first.parseoutcomes() == {"passed": 2, "failed": 1, "skipped": 1}
    assert again.parseoutcomes() == {"passed": 3, "skipped": 1}
    assert project.ran == ["a", "b", "b", "c"]
    assert record.changes.values() == {"ran": ["a", "b", "c"]}
    assert [step.state for step in record.steps] == ["restored", "passed", "passed"]


def test_a_secret_that_a_worker_learns_is_masked_everywhere(project: Project) -> None:
    project.write(
        "recipes/x.yaml",
        "steps:\n"
        "  - name: a\n    type: shell\n    parse: text\n    cmd: echo $API_TOKEN\n"
        '    args: {API_TOKEN: canary-of-args}\n    outputs: {told.raw: "${{ stdout }}"}\n'
        "  - {name: b, type: shell, parse: text, cmd: 'echo ${{ ctx.told.raw }}'}\n",
    )
    result = project.spawn("-n", "1", "--json-report", "--junitxml=junit.xml")

    assert result.parseoutcomes() == {"passed": 2}
    files = [path for path in project.path.rglob("*") if path.is_file()]
    actual = [path for path in files if b"canary-of-args" in path.read_bytes()]
    assert [path.relative_to(project.path).parts[0] for path in actual] == ["recipes"]


_ASKS = """
import ctypes
import os

PR_GET_PDEATHSIG = 2

def ask(ctx, params):
    number = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(number))
    ctx.set("told", [os.getppid(), number.value])
    return {"status": "ok"}
"""


_SAYS_WHO = """
import os

def pytest_report_header():
    return f"I am {os.getpid()}"
"""


@pytest.mark.own_interpreters
@pytest.mark.parametrize(
    ("options", "is_controllers", "number"),
    [
        (("-n1",), True, signal.SIGKILL),
        (("--dist=load", "--px=id=proxy//popen", "--tx=popen//via=proxy"), False, 0),
    ],
)
def test_a_worker_ends_with_its_parent_if_that_is_the_controller(
    project: Project, options: tuple[str, ...], is_controllers: bool, number: int
) -> None:
    project.write("asks.py", _ASKS)
    project.write("conftest.py", _SAYS_WHO)
    project.recipe("x", {"ask": "type: python, module: asks, function: ask, isolation: inline"})

    result = project.spawn(*options)
    parent, asked_for = load_record(find_run(project.path / ".orchestrator/runs")).changes.values()[
        "told"
    ]

    assert result.parseoutcomes() == {"passed": 1}
    assert (f"I am {parent}" in result.outlines, asked_for) == (is_controllers, number)


@pytest.mark.parametrize("length", kept_first([80], 200))
def test_workers_share_the_context_wherever_temporary_files_are(
    counting: Project, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = counting.path / ("x" * length)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))

    counting.spawn("-n", "2").assert_outcomes(passed=8)

    assert json.loads((counting.path / "context.json").read_text())["count"] == 450


def test_workers_share_the_context_without_unix_sockets(
    counting: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core_files, "_bases", lambda: iter(["/" + "x" * 60]))

    counting.run("-n", "2").assert_outcomes(passed=8)

    assert json.loads((counting.path / "context.json").read_text())["count"] == 450
