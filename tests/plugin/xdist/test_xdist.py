"""pytest-xdist: a recipe runs on one worker, and no report is lost."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from pytest_orchestrator.runs.lookup import find_run, load_record
from tests.tiers import kept_first

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_SIZES = {"a": 2, "b": 8, "c": 5, "d": 4, "e": 3}
_STEPS = """
import os


def where(ctx, params):
    assert params["after"] in (None, *ctx.get("done", {}))
    ctx.set(f"done.{params['name']}", os.environ["PYTEST_XDIST_WORKER"])
    with open("ran.txt", "a") as file:
        file.write(f"{params['recipe']}={os.environ['PYTEST_XDIST_WORKER']}\\n")
    return {"status": "ok"}
"""
_TESTS = """
import os

import pytest


def noted(name):
    with open("ran.txt", "a") as file:
        file.write(f"{name}={os.environ['PYTEST_XDIST_WORKER']}\\n")


@pytest.mark.parametrize("number", range(24))
def test_plain(number):
    noted(f"plain{number}")


@pytest.mark.parametrize("number", range(4))
@pytest.mark.xdist_group("together")
def test_grouped(number):
    noted("group")


@pytest.mark.recipe("recipes/c.yaml")
def test_marked(ctx):
    noted("c")
    assert ctx.get("done.c4") == os.environ["PYTEST_XDIST_WORKER"]
"""
_ALL = sum(_SIZES.values()) + 29


@pytest.fixture
def many(project: Project) -> Project:
    """A project with five recipes of dependent steps, and thirty other tests."""
    project.write("where.py", _STEPS)
    project.write("test_x.py", _TESTS)
    for recipe, size in _SIZES.items():
        lines = ["steps:"]
        for number in range(size):
            after = f"{recipe}{number - 1}" if number else "null"
            params = f"{{name: {recipe}{number}, after: {after}, recipe: {recipe}}}"
            call = f"type: python, module: where, function: where, params: {params}"
            lines.append(f"  - {{name: {recipe}{number}, {call}}}")
        project.write(f"recipes/{recipe}.yaml", "\n".join(lines))
    return project


def _workers(project: Project) -> dict[str, list[str]]:
    """Return the workers that ran each step or test, by name."""
    found = defaultdict(list)
    for name, worker in (line.split("=") for line in project.ran):
        found[name].append(worker)
    return found


@pytest.mark.parametrize(
    "arguments",
    kept_first(
        [("-n", "2", "--dist", "loadfile"), ("-n", "2", "--dist", "loadscope")],
        ("-n", "2"),
        ("-n", "4", "--dist", "worksteal"),
        ("-n", "2", "--dist", "loadgroup"),
    ),
)
def test_every_recipe_runs_on_one_worker(many: Project, arguments: tuple[str, ...]) -> None:
    result = many.spawn(*arguments)

    assert result.parseoutcomes() == {"passed": _ALL}
    workers = _workers(many)
    assert {name: len(workers[name]) for name in _SIZES} == _SIZES | {"c": _SIZES["c"] + 1}
    assert [name for name in _SIZES if len(set(workers[name])) != 1] == []
    assert len(set().union(*workers.values())) > 1
    if "loadgroup" in arguments:
        assert workers["group"] == 4 * workers["group"][:1]


def test_a_session_without_recipes_is_scheduled_by_xdist(many: Project) -> None:
    for recipe in _SIZES:
        (many.path / f"recipes/{recipe}.yaml").unlink()

    result = many.spawn("-n", "2", "-k", "plain or grouped")

    assert result.parseoutcomes() == {"passed": 28}


def test_failures_and_reports_are_the_same_as_with_one_process(project: Project) -> None:
    project.recipe("x", {"one": "", "two": "function: refuse", "three": ""}, {"off": ""})
    project.recipe("y", {"four": ""})

    result = project.spawn(
        "-n", "2", "-rfs", "--json-report", "--junitxml=junit.xml", "--recipe-table=all"
    )

    assert project.shown(result, "two").splitlines()[1] == (
        "recipes/x.yaml:3:77: step 'two': status 'off': the bench is off"
    )
    assert result.parseoutcomes() == {"passed": 3, "failed": 1, "skipped": 1}
    assert "FAILED recipes/x.yaml::two - status 'off': the bench is off" in result.outlines
    assert sorted(project.ran) == ["four", "off", "one", "two"]
    result.stdout.fnmatch_lines(["-* recipes/x.yaml: failed -*", "*", " one *", " two *"])
    result.stdout.fnmatch_lines(["-* recipes/y.yaml: passed -*", "*", " four *"])
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    workers = [test["metadata"]["orchestrator"]["run"]["worker"] for test in tests]
    assert len(workers) == 5
    assert set(workers) <= {"gw0", "gw1"}
    assert (project.path / "junit.xml").read_text().count('name="outcome" value=') == 5


def test_a_failed_finally_step_that_was_not_selected_is_an_error(project: Project) -> None:
    project.recipe("x", {"one": ""}, {"off": "function: refuse"})

    result = project.spawn("-n", "2", "-k", "one")

    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    result.stdout.fnmatch_lines(["*step 'off': status 'off': the bench is off"])
    assert project.ran == ["one", "off"]


def test_finally_steps_run_on_the_worker_that_stops_at_a_failure(project: Project) -> None:
    project.recipe("x", {"one": "", "two": "function: refuse", "three": ""}, {"off": ""})

    project.spawn("-n", "2", "-x")

    assert project.ran == ["one", "two", "off"]


def test_report_properties_that_are_not_plain_data_lose_no_test(project: Project) -> None:
    project.write(
        "test_x.py",
        """
        import logging
        import threading
        from pathlib import Path

        def test_property(record_property):
            record_property("path", Path("a"))
            record_property("lock", threading.Lock())

        def test_extra():
            logging.getLogger().warning("odd", extra={"path": Path("a"), "lock": threading.Lock()})

        def test_other():
            pass
        """,
    )
    project.recipe("x", {"one": ""})

    result = project.spawn("-n", "2", "--json-report", "--junitxml=junit.xml")

    assert result.parseoutcomes() == {"passed": 4}
    assert 'name="path" value="a"' in (project.path / "junit.xml").read_text()
    assert json.loads((project.path / ".report.json").read_text())["summary"]["passed"] == 4


@pytest.mark.parametrize("head", ["", "matrix: {n: [1, 2]}"], ids=["one", "matrix"])
def test_steps_whose_worker_died_last_are_reported_once(project: Project, head: str) -> None:
    project.write("dies.py", "import os\n\ndef die(params):\n    os._exit(0)\n")
    keys = "isolation: inline"
    project.recipe(
        "x", {"a": keys, "e": f"type: python, module: dies, function: die, {keys}"}, {}, head
    )
    cells = 2 if head else 1

    result = project.spawn("-n", "2", "--junitxml=junit.xml", "--json-report")

    assert result.parseoutcomes() == {"passed": cells, "interrupted": cells}
    junit = ElementTree.parse(project.path / "junit.xml").getroot()
    assert len([*junit.iter("testcase")]) == 2 * cells
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    assert sorted(test["outcome"] for test in tests) == ["interrupted"] * cells + ["passed"] * cells
    recipes = load_record(find_run(project.path / ".orchestrator/runs")).recipes.values()
    states = [step.block.step.state for one in recipes for step in one.steps.values() if step.block]
    assert sorted(states) == ["interrupted"] * cells + ["passed"] * cells


_CRASHES_CONFTEST = """
import os
import time
from pathlib import Path


def awaited(name):
    end = time.monotonic() + 60
    while not Path(name).exists():
        assert time.monotonic() < end, f"there is no {name}"
        time.sleep(0.01)


def pytest_configure(config):
    if os.environ.get("PYTEST_XDIST_WORKER") == "gw2":
        Path("gw2").touch()
        awaited("crashed e")


def pytest_handlecrashitem(crashitem):
    Path(f"crashed {crashitem.rpartition('::')[2]}").touch()
"""
_CRASHES = """
import os

from conftest import awaited


def die(params):
    awaited("gw2")
    os._exit(0)


def test_die():
    os._exit(0)
"""


def test_a_crashed_step_is_not_repeated_by_a_worker_that_started_before(project: Project) -> None:
    project.write("conftest.py", _CRASHES_CONFTEST)
    project.write("test_x.py", _CRASHES)
    keys = "isolation: inline"
    steps = {"a": keys, "e": f"type: python, module: test_x, function: die, {keys}", "l": keys}
    project.recipe("x", steps, {"off": keys})

    result = project.spawn("-n", "2", "test_x.py", "recipes/x.yaml", "--junitxml=junit.xml")

    assert result.parseoutcomes() == {"passed": 2, "failed": 1, "interrupted": 1, "skipped": 1}
    junit = ElementTree.parse(project.path / "junit.xml").getroot()
    names = [str(one.get("name")) for one in junit.iter("testcase")]
    assert sorted(names) == ["a", "e", "l", "off", "test_die"]
    assert project.ran == ["a", "off"]


def test_a_step_at_which_two_workers_died_is_reported_once(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        import os
        import pytest

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_runtest_protocol(item):
            if item.name == "e":
                os._exit(0)
            return (yield)
        """,
    )
    project.recipe("x", {"a": "isolation: inline", "e": "isolation: inline"})

    result = project.spawn("-n", "1", "--max-worker-restart=1", "--junitxml=junit.xml")

    assert result.stdout.str().count("node down: ") == 2
    assert result.parseoutcomes() == {"passed": 1, "errors": 1}
    junit = ElementTree.parse(project.path / "junit.xml").getroot()
    assert [one.get("name") for one in junit.iter("testcase")] == ["a", "e"]


_LARGE = """
def fails(ctx, params):
    return {"status": "error", "reason": "z" * 6_000_000}

def passes(ctx, params):
    return {"status": "ok", "data": "z" * 12_000_000}
"""


@pytest.fixture
def large(project: Project) -> Project:
    """A project with two recipes whose steps have large results."""
    project.write("large.py", _LARGE)
    for name in ("fails", "passes"):
        project.recipe(name, {name: f"type: python, module: large, function: {name}"})
    return project


def test_a_large_result_of_a_step_reaches_the_journal_of_the_controller(large: Project) -> None:
    result = large.spawn("-n", "1")

    assert (result.parseoutcomes(), result.ret) == ({"failed": 1, "passed": 1}, 1)
    (journal,) = large.path.glob(".orchestrator/runs/2*/journal.jsonl")
    assert b"z" * 12_000_000 in journal.read_bytes()


def test_a_step_whose_event_does_not_reach_the_controller_fails(large: Project) -> None:
    large.write(
        "conftest.py",
        """
        from pytest_orchestrator.context.rpc import protocol

        protocol.MAX_LINE = 1 << 20
        """,
    )

    result = large.spawn("-n", "1", "recipes/passes.yaml")

    assert (result.parseoutcomes(), result.ret) == ({"failed": 1}, 1)
    why = "the process that keeps the Context has closed the connection"
    result.stdout.fnmatch_lines([f"E   the controller does not write the journal: {why}"])


def test_a_session_with_an_internal_error_in_a_worker_ends_with_exit_code_3(
    project: Project,
) -> None:
    project.by_shell = True
    project.recipe("x", {"one": ""})
    project.write(
        "conftest.py",
        """
        def pytest_runtest_protocol(item):
            raise RuntimeError("no more")
        """,
    )

    result = project.spawn("-n", "1")

    assert (result.parseoutcomes(), result.ret) == ({"not": 1}, 3)
