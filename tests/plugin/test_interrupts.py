"""Interrupted sessions end their step, run the finally steps and write the reports."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from html import unescape
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_orchestrator.cli.main import main
from pytest_orchestrator.runs.lookup import find_run, load_record, run_folders
from tests.monitor.pages.opened import opened
from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_PYTHON = "type: python, module: waits, function: wait"
_SHELL = "type: shell, cmd: 'touch waits; sleep 600', parse: text"
_WAITS = """
import time
from pathlib import Path


def wait(ctx, params):
    Path("waits").touch()
    while True:
        time.sleep(0.001)
"""

SENT = (signal.SIGINT, signal.SIGINT, signal.SIGTERM)
_STATES = {"one": "passed", "wait": "interrupted", "off": "passed", "cool": "passed"}
_SLOW_REPORTS = """
import time
from pathlib import Path

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report):
    is_reported = hasattr(report, "node") and report.when == "PHASE"
    while is_reported and not Path("interrupted").exists():
        time.sleep(0.001)
"""


def _interrupted(
    project: Project,
    step: str,
    number: signal.Signals,
    *args: str,
    kill: Any = os.killpg,
    cool: str = "if: interrupted() and not passed()",
    body: str = _WAITS,
) -> tuple[int, list[str]]:
    """Interrupt pytest as soon as a step waits; return the exit status and the lines.

    All processes of pytest get the signal, as from a terminal, unless ``kill`` is another.
    """
    project.write("waits.py", body)
    project.recipe("x", {"one": "", "wait": step, "three": ""}, {"off": "", "cool": cool})
    project.recipe("y", {"four": ""}, {"dark": ""})
    process = project.pytester.popen(
        [*PYTEST, "-rfE", "--recipe-table=all", *args],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    while not (project.path / "waits").exists():
        assert process.poll() is None
        time.sleep(0.01)
    kill(process.pid, number)
    (project.path / "interrupted").touch()
    out, _ = process.communicate()
    return process.returncode, out.decode().splitlines()


@pytest.mark.parametrize(
    ("number", "cause", "step"),
    [
        (signal.SIGINT, "Ctrl-C", _PYTHON),
        (signal.SIGINT, "Ctrl-C", _SHELL),
        (signal.SIGTERM, "SIGTERM", _PYTHON),
        (signal.SIGHUP, "SIGHUP", _SHELL),
    ],
)
def test_an_interrupted_step_is_reported_and_finally_steps_run_once(
    project: Project, number: signal.Signals, cause: str, step: str
) -> None:
    status, lines = _interrupted(project, step, number)

    assert status == 2
    assert project.ran == ["one", "off", "cool"]
    summary = [line for line in lines if line.startswith(("FAILED", "ERROR", "INTERRUPTED"))]
    assert len(summary) == 1
    assert re.fullmatch(
        rf"INTERRUPTED \S+::wait - interrupted after \d+\.\d s: {cause}", summary[0]
    )
    assert any(" 3 passed, 1 interrupted, 3 not run in " in line for line in lines)
    places = [line.rpartition(": ")[0] for line in lines if "KeyboardInterrupt: SIG" in line]
    assert not any("/interrupts.py:" in place for place in places)


_SWALLOWS = """
import multiprocessing
import os
import signal
import time
from pathlib import Path


def _waits(number):
    Path(f"child{number}").touch()
    time.sleep(600)


def wait(ctx, params):
    try:
        Path("waits").touch()
        while True:
            time.sleep(0.001)
    except KeyboardInterrupt:
        return {"status": "ok"}


def forks(ctx, params):
    for number in (signal.SIGINT, signal.SIGTERM):
        child = multiprocessing.get_context("fork").Process(target=_waits, args=(number,))
        child.start()
        while not Path(f"child{number}").exists():
            time.sleep(0.001)
        os.kill(child.pid, number)
        child.join()
    return {"status": "ok"}
"""
_INLINE = "type: python, module: waits, isolation: inline, function"


@pytest.mark.parametrize(
    ("number", "cause"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")]
)
@pytest.mark.parametrize("workers", ["0", "2"])
def test_an_inline_step_that_swallows_the_interrupt_ends_the_session(
    project: Project, number: signal.Signals, cause: str, workers: str
) -> None:
    args = ("-n", workers, "recipes/x.yaml")
    status, lines = _interrupted(project, f"{_INLINE}: wait", number, *args, body=_SWALLOWS)

    assert status == 2
    assert project.ran == ["one", "off", "cool"]
    (line,) = (line for line in lines if line.startswith("INTERRUPTED"))
    assert re.fullmatch(rf"INTERRUPTED \S+::wait - interrupted after \d+\.\d s: {cause}", line)


def test_a_signal_to_a_fork_of_an_inline_step_interrupts_no_session(project: Project) -> None:
    project.write("waits.py", _SWALLOWS)
    project.recipe("x", {"one": f"{_INLINE}: forks", "two": ""})

    project.run().assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.measured), signal.SIGTERM]
)
def test_xdist_workers_run_finally_steps_and_report_all_steps(
    project: Project, number: signal.Signals
) -> None:
    reports = ("--json-report", "--junitxml=junit.xml")
    status, lines = _interrupted(project, _PYTHON, number, "-n", "2", "recipes/x.yaml", *reports)

    assert status == 2
    assert project.ran == ["one", "off", "cool"]
    assert any(" 3 passed, 1 interrupted, 1 not run in " in line for line in lines)
    assert not any("another exception" in line for line in lines)
    assert not any("/interrupts.py:" in line for line in lines)
    assert _states(lines) == _STATES
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    kinds = {test["nodeid"].partition("::")[2]: _kind(test) for test in tests}
    assert kinds == {"one": None, "wait": "interrupted", "off": None, "cool": None, "three": None}
    junit = (project.path / "junit.xml").read_text()
    names = re.findall(r"<testcase ([^>]*)time=", junit)
    assert [re.findall(r'name="(\w+)"', one) for one in names] == [
        *(["one"], ["wait"], ["off"], ["cool"], ["three"])
    ]


# execnet interrupts a worker five seconds after the end of the controller.
_NO_SIGNALS_OF_EXECNET = """
from execnet.gateway_base import WorkerGateway

def wait(worker):
    worker._execpool.trigger_shutdown()
    worker._execpool.waitall()

WorkerGateway._terminate_execution = wait
"""


def test_workers_report_the_signal_that_only_pytest_received(project: Project) -> None:
    project.write("conftest.py", _NO_SIGNALS_OF_EXECNET)
    arguments = ("-n", "2", "recipes/x.yaml", "--json-report")
    _interrupted(project, _SHELL, signal.SIGTERM, *arguments, kill=os.kill)

    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    steps = {one["nodeid"].partition("::")[2]: one["metadata"]["orchestrator"] for one in tests}
    reasons = {name: block["step"].get("reason", "") for name, block in steps.items()}
    assert re.fullmatch(r"interrupted after \d+\.\d s: SIGTERM", reasons["wait"])
    assert reasons["three"] == "the session ended before it: SIGTERM"
    assert project.ran == ["one", "off", "cool"]


@pytest.mark.parametrize("phase", ["setup", "call"])
def test_reports_of_xdist_workers_reach_all_plugins_after_an_interrupt(
    project: Project, phase: str
) -> None:
    project.write("conftest.py", _SLOW_REPORTS.replace("PHASE", phase))
    _, lines = _interrupted(project, _PYTHON, signal.SIGINT, "-n", "1", "recipes/x.yaml")

    assert _states(lines) == _STATES
    assert not any("pytest_orchestrator/" in line for line in lines)


_LOCKED_QUEUE = """
def pytest_configure(config):
    global manager
    manager = config.pluginmanager


def pytest_keyboard_interrupt():
    xdist = manager.get_plugin("dsession")
    if xdist is not None:
        xdist.queue.mutex.acquire()
"""


def test_an_interrupt_that_leaves_the_queue_of_xdist_locked_loses_no_report(
    project: Project,
) -> None:
    project.write("conftest.py", _LOCKED_QUEUE)
    status, lines = _interrupted(project, _PYTHON, signal.SIGINT, "-n", "1", "recipes/x.yaml")

    assert status == 2
    assert _states(lines) == _STATES


def _states(lines: list[str]) -> dict[str, str]:
    summary = [line.split() for line in lines if line[:1] == " "]
    return {name: state for name, state, *_ in summary if name in _STATES}


def _kind(test: dict[str, Any]) -> str | None:
    kind: str | None = test["metadata"]["orchestrator"]["step"].get("kind")
    return kind


@pytest.mark.parametrize("selection", ["wait", "wait or four"])
def test_unselected_finally_steps_run_after_an_interrupt(project: Project, selection: str) -> None:
    status, lines = _interrupted(project, _PYTHON, signal.SIGINT, "-k", selection)

    assert status == 2
    assert project.ran == ["one", "off", "cool"]
    assert any(" 1 interrupted" in line for line in lines)


def test_reports_of_an_interrupted_session_are_written(project: Project) -> None:
    status, _ = _interrupted(
        project, _SHELL, signal.SIGTERM, "--json-report", "--junitxml=junit.xml"
    )

    assert status == 2
    assert project.ran == ["one", "off", "cool"]
    tests = json.loads((project.path / ".report.json").read_text())["tests"]
    assert {test["nodeid"].partition("::")[2]: test["outcome"] for test in tests} == {
        "one": "passed",
        "wait": "interrupted",
        "off": "passed",
        "cool": "passed",
        "three": "not run",
        "four": "not run",
        "dark": "not run",
    }
    kinds = [test["metadata"]["orchestrator"]["step"].get("kind") for test in tests]
    assert kinds == [None, "interrupted", *[None] * 5]
    assert 'name="kind" value="interrupted"' in (project.path / "junit.xml").read_text()


_SUMMARY = """
import os, signal

def pytest_terminal_summary():
    os.kill(os.getpid(), signal.SIGNAL)
    print("it goes on")
"""


@pytest.mark.parametrize(
    ("number", "cause", "workers"),
    [
        ("SIGINT", "Ctrl-C", ()),
        ("SIGTERM", "SIGTERM", ()),
        ("SIGINT", "Ctrl-C", ("-n1",)),
        pytest.param("SIGTERM", "SIGTERM", ("-n1",), marks=pytest.mark.nightly),
    ],
)
def test_a_signal_is_deferred_until_reports_are_written(
    project: Project, number: str, cause: str, workers: tuple[str, ...]
) -> None:
    project.recipe("x", {"one": ""}, {"off": ""})
    project.write("conftest.py", _SUMMARY.replace("SIGNAL", number))

    result = project.spawn(*workers, "--junitxml=junit.xml", "-o", "recipe_html=true")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert result.errlines == [f"Exit: {cause}"]
    assert "it goes on" in result.outlines
    assert result.outlines[-1].startswith("=")
    run = find_run(project.path / ".orchestrator/runs")
    assert load_record(run).state == "finished"
    assert (run / "report.html").exists()
    assert (project.path / "junit.xml").exists()


def test_fixtures_are_torn_down_after_the_finally_steps_that_use_them(project: Project) -> None:
    project.write(
        "conftest.py",
        """
        from pathlib import Path

        import pytest

        def note(word):
            with Path("ran.txt").open("a") as file:
                file.write(word + "\\n")

        @pytest.fixture(scope="module", autouse=True)
        def supply():
            note("up")
            yield
            note("down")

        @pytest.fixture(autouse=True)
        def probe(request):
            yield
            note(f"-{request.node.name}")
        """,
    )

    _interrupted(project, _PYTHON, signal.SIGINT, "recipes/x.yaml")

    assert project.ran == ["up", "one", "-one", "-wait", "off", "-off", "cool", "-cool", "down"]


def test_finally_steps_run_after_an_interrupted_test(project: Project) -> None:
    project.write(
        "test_wait.py",
        """
        import time
        from pathlib import Path

        def test_wait():
            Path("waits").touch()
            while True:
                time.sleep(0.001)
        """,
    )

    status, _ = _interrupted(project, "", signal.SIGINT, "-k", "one or test_wait", cool="")

    assert status == 2
    assert project.ran == ["one", "off", "cool"]


def _interrupted_often(project: Project, *args: str) -> tuple[int, list[str]]:
    """Press Ctrl-C in a step and in a finally step, and send SIGTERM in the next one."""
    leftover = "type: shell, cmd: 'touch {0}.on; sleep 600', parse: text"
    off = {name: leftover.format(name) for name in ("off", "cool")}
    project.recipe("x", {"one": leftover.format("one")}, {**off, "dark": ""})
    process = project.pytester.popen(
        [*PYTEST, "-rfE", *args], stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT
    )
    for name, number in zip(("one", "off", "cool"), SENT, strict=True):
        while not (project.path / f"{name}.on").exists():
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(number)
    out, _ = process.communicate()
    return process.returncode, out.decode().splitlines()


@pytest.mark.parametrize(
    ("args", "counts"),
    [
        ((), "1 passed, 3 interrupted"),
        (("-k", "one"), "3 deselected, 3 interrupted"),
    ],
)
def test_a_signal_during_finally_steps_ends_one_and_is_reported(
    project: Project, args: tuple[str, ...], counts: str
) -> None:
    status, lines = _interrupted_often(project, *args)

    assert status == 2
    assert project.ran == ["dark"]
    said = [re.sub(r"\d+\.\d s", "N s", line) for line in lines if "orchestrator: " in line]
    cut_off = "orchestrator: finally step '{}' was interrupted after N s: {} still to run"
    assert said == [
        cut_off.format("off", "Ctrl-C; cool and dark"),
        cut_off.format("cool", "SIGTERM; dark"),
    ]
    summary = [line for line in lines if re.match(r"(FAILED|ERROR|INTERRUPTED) ", line)]
    assert len(summary) == 3
    causes = ("Ctrl-C", "Ctrl-C", "SIGTERM")
    for name, cause, line in zip(("one", "off", "cool"), causes, summary, strict=True):
        ending = rf"\S+::{name} - interrupted after \d+\.\d s: {cause}"
        assert re.fullmatch(rf"INTERRUPTED {ending}", line)
    assert any(f" {counts} in " in line for line in lines)
    assert not any("Traceback" in line or "another exception" in line for line in lines)


def test_no_process_of_an_interrupted_step_is_alive(project: Project) -> None:
    step = "type: shell, cmd: 'sleep 600 & echo $! > pid; touch waits; wait', parse: text"

    _interrupted(project, step, signal.SIGINT)

    pid = int((project.path / "pid").read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        assert psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("options", [(), ("--recipe-jobs=2",)])
def test_an_interrupted_step_has_the_two_seconds_that_it_has_at_its_timeout(
    project: Project, options: tuple[str, ...]
) -> None:
    write = "date +%s%N > now && mv now last && touch waits || true"
    loop = f"while :; do {write}; sleep 0.05 || true; done"
    step = f"type: shell, cmd: 'trap \"date +%s%N > term\" TERM; {loop}', parse: text"

    _interrupted(project, step, signal.SIGINT, *options, kill=os.kill)

    term, last = (int((project.path / name).read_text()) / 1e9 for name in ("term", "last"))
    assert last - term > 1.4


@pytest.mark.parametrize(
    ("step", "options"),
    [
        (_PYTHON, ()),
        pytest.param(_SHELL, (), marks=pytest.mark.nightly),
        (_PYTHON, ("-n", "1")),
        (_SHELL, ("--recipe-jobs=2",)),
    ],
)
def test_a_needed_step_that_is_interrupted_in_a_setup_is_reported(
    project: Project, step: str, options: tuple[str, ...]
) -> None:
    status, lines = _interrupted(project, step, signal.SIGINT, "-k", "three", *options)

    assert status == 2
    assert project.ran == ["one", "off", "cool"]
    summary = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    assert summary == [
        "ERROR recipes/x.yaml::three - needed step recipes/x.yaml::wait did not pass"
    ]
    table = (re.match(r" (\w+) +(not run|\w+) ", line) for line in lines)
    states = {match[1]: match[2] for match in table if match}
    assert [states[name] for name in ("one", "wait", "three")] == [
        "passed",
        "interrupted",
        "not run",
    ]


def test_finally_steps_know_that_the_session_was_interrupted_after_all_steps(
    project: Project,
) -> None:
    project.write(
        "test_wait.py",
        """
        import time
        from pathlib import Path

        import pytest

        @pytest.mark.recipe("recipes/z.yaml")
        def test_wait():
            Path("waits").touch()
            while True:
                time.sleep(0.001)
        """,
    )
    project.recipe("z", {"up": ""}, {"cut": "if: interrupted()", "well": "if: passed()"})

    status, _ = _interrupted(project, "", signal.SIGINT, "test_wait.py")

    assert status == 2
    assert project.ran == ["up", "cut"]


def test_an_interrupted_session_says_what_did_not_run_and_how_to_resume(project: Project) -> None:
    html = ("-o", "recipe_html=true", "--recipe-table=auto")
    _, lines = _interrupted(project, _SHELL, signal.SIGTERM, *html)

    [folder] = run_folders(project.path / ".orchestrator/runs")
    command = f"pytest --recipe-resume={folder.name} recipes/x.yaml recipes/y.yaml"
    heading = next(at for at, line in enumerate(lines) if "= short test summary info =" in line)
    assert lines[heading + 1].startswith("INTERRUPTED recipes/x.yaml::wait - interrupted after ")
    assert not any(line.startswith("INTERRUPTED ") for line in lines[:heading])
    assert f"resume {command}" in lines
    assert any(re.match(r"  three +not run ", line) for line in lines)
    shown = _text((folder / "report.html").read_text())
    assert "3 steps did not run (SIGTERM): three, four, dark." in shown
    assert f"{command} Copy" in shown
    assert "(finally) did not run" not in shown


def test_several_steps_that_did_not_run_are_named(project: Project) -> None:
    project.recipe(
        "x", {"one": "type: shell, cmd: exit 3, needs: []", "two": "needs: []", "three": ""}
    )

    result = project.run("-x", "-o", "recipe_html=true")

    [folder] = run_folders(project.path / ".orchestrator/runs")
    command = f"pytest --recipe-resume={folder.name} recipes/x.yaml"
    result.stdout.fnmatch_lines(["  2 steps  not run * two, three: the session ended before it: *"])
    assert f"resume {command}" in result.outlines
    shown = _text((folder / "report.html").read_text())
    assert "! Run ended early" in shown
    assert "did not run (stopping after 1 failures): two, three." in shown


def test_the_page_and_the_monitor_name_the_due_steps_of_a_killed_run(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    _interrupted(project, _SHELL, signal.SIGKILL, "recipes/x.yaml")
    [folder] = run_folders(project.path / ".orchestrator/runs")
    monkeypatch.chdir(project.path)

    assert main(["report", folder.name]) == 0

    command = f"pytest --recipe-resume={folder.name} recipes/x.yaml"
    owed = [f"{name} (finally) did not run: the bench may still be on" for name in ("off", "cool")]
    report = (folder / "report.html").read_text()
    for shown in map(_text, (report, opened(folder.parent)(f"/run/{folder.name}"))):
        assert "3 steps did not run: three, off, cool." in shown
        assert [sentence for sentence in owed if f"✘ {sentence}" not in shown] == []
        assert f"{command} Copy" in shown


def _text(text: str) -> str:
    """Return the text of a page, without its markup."""
    body = re.sub(r"<style>.*?</style>|<script.*?</script>", "", text, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", "", body)).split())
