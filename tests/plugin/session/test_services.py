"""A service runs until the end of its recipe and no longer, however the recipe ends."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.plugin.conftest import PYTEST

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_SERVICE = (
    "type: shell, background: true, ready: {stdout_matches: ^up}, "
    "cmd: 'sleep 600 & echo $! >> pids; echo $$ >> pids; echo up; wait'"
)
_USE = "type: shell, parse: text, cmd: 'kill -0 $(cat pids); echo use >> ran.txt'"
_FINAL = {"off": "type: shell, parse: text, cmd: 'kill -0 $(cat pids); echo off >> ran.txt'"}
_WAITS = """
import time
from pathlib import Path


def wait(ctx, params):
    Path("waits").touch()
    while True:
        time.sleep(0.001)


def until_it_wrote(ctx, params):
    while ctx.get("served") < 50:
        pass
    return {"status": "ok"}


def serve(ctx, params):
    Path("pids").write_text(str(__import__("os").getpid()))
    ctx.set("served", 1)
    print("up")
    while True:
        ctx.increment("served")
        time.sleep(0.001)
"""


def recipe(project: Project, keys: str = "", **steps: str) -> str:
    return project.recipe("x", {"serve": _SERVICE + keys, "use": _USE, **steps}, _FINAL)


def alive(project: Project) -> list[int]:
    """Return the live processes of the service, each start of which makes two."""
    pids = [int(pid) for pid in (project.path / "pids").read_text().split()]
    assert pids
    living = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):
            living.append(psutil.Process(pid))
    _, left = psutil.wait_procs(living, timeout=60)
    return [one.pid for one in left if one.status() != psutil.STATUS_ZOMBIE]


def test_later_steps_and_finally_steps_use_a_service(project: Project) -> None:
    recipe(project)

    project.run().assert_outcomes(passed=3)

    assert project.ran == ["use", "off"]
    assert alive(project) == []


@pytest.mark.parametrize(
    ("last", "arguments"),
    [
        ("function: refuse", ()),
        ("function: refuse", ("-x",)),
        ("type: shell, cmd: sleep 600, parse: text, timeout: 0.2", ()),
        ("function: refuse", ("--recipe-jobs=2",)),
        ("function: refuse", ("-x", "--recipe-jobs=2")),
        ("function: refuse", ("-n", "1")),
    ],
)
def test_no_process_of_a_service_is_left_after_a_failure(
    project: Project, last: str, arguments: tuple[str, ...]
) -> None:
    recipe(project, "", last=last)

    result = project.run(*arguments)

    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 1
    assert project.ran[-1] == "off"
    assert alive(project) == []


def test_a_dependent_selected_alone_starts_the_service_in_its_setup(project: Project) -> None:
    path = recipe(project)

    project.run(f"{path}::use").assert_outcomes(passed=1)

    assert project.ran == ["use", "off"]
    assert alive(project) == []


def test_a_last_failed_step_starts_its_service_again(project: Project) -> None:
    recipe(project, "", last="function: refuse")
    project.run()
    project.forget()
    (project.path / "pids").unlink()

    project.run("--lf").assert_outcomes(failed=1)

    assert project.ran == ["use", "last", "off"]
    assert alive(project) == []


def test_a_rerun_step_uses_the_same_service(project: Project) -> None:
    recipe(project, "", last="function: refuse")

    project.run("--reruns", "2").assert_outcomes(failed=1, passed=3)

    assert project.ran == ["use", "last", "last", "last", "off"]
    assert len((project.path / "pids").read_text().split()) == 2
    assert alive(project) == []


@pytest.mark.parametrize("arguments", [(), ("--recipe-jobs=2",), ("-n", "1")])
def test_services_work_with_jobs_and_with_xdist_workers(
    project: Project, arguments: tuple[str, ...]
) -> None:
    recipe(project, "", beside="type: shell, cmd: 'true', parse: text, needs: []")

    project.run(*arguments).assert_outcomes(passed=4)

    assert project.ran == ["use", "off"]
    assert alive(project) == []


def _ended(project: Project, number: signal.Signals, *arguments: str) -> tuple[int, str]:
    """End pytest as soon as a step waits; return its exit status and its output."""
    project.write("waits.py", _WAITS)
    process = project.pytester.popen(
        [*PYTEST, *arguments],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    while not (project.path / "waits").exists():
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, number)
    out, _ = process.communicate()
    return process.returncode, out.decode()


_WAIT = "type: python, module: waits, function: wait"


@pytest.mark.parametrize(
    ("number", "arguments"),
    [
        (signal.SIGINT, ()),
        (signal.SIGTERM, ("--recipe-jobs=2",)),
        (signal.SIGINT, ("-n", "1")),
        pytest.param(signal.SIGTERM, ("-n", "1"), marks=pytest.mark.nightly),
    ],
)
def test_an_interrupted_session_leaves_no_service(
    project: Project, number: signal.Signals, arguments: tuple[str, ...]
) -> None:
    recipe(project, "", last=_WAIT)

    status, _ = _ended(project, number, *arguments)

    assert status == 2
    assert project.ran == ["use", "off"]
    assert alive(project) == []


def test_a_killed_session_leaves_no_service(project: Project) -> None:
    recipe(project, "", last=_WAIT)

    status, _ = _ended(project, signal.SIGKILL)

    assert status == -signal.SIGKILL
    assert project.ran == ["use"]
    assert alive(project) == []


def test_ctrl_c_before_readiness_leaves_no_service(project: Project) -> None:
    service = _SERVICE.replace("echo up", "touch waits").replace("^up", "never")
    project.recipe("x", {"serve": service, "use": _USE})

    status, _ = _ended(project, signal.SIGINT)

    assert status == 2
    assert alive(project) == []


def test_a_python_step_can_be_a_service(project: Project) -> None:
    project.write("waits.py", _WAITS)
    keys = "type: python, module: waits, function: serve, background: true"
    project.recipe(
        "x",
        {
            "serve": f"{keys}, ready: {{stdout_matches: up}}, success: {{ctx_has_keys: [served]}}",
            "use": "",
        },
    )

    project.run().assert_outcomes(passed=2)

    assert alive(project) == []
    logs = project.path / ".orchestrator/runs/latest/logs/x"
    assert (logs / "serve.1.stdout").read_text() == "up\n"
    assert not (logs / "serve.1.stderr").exists()


def test_the_report_contains_the_output_of_a_service_until_its_end(project: Project) -> None:
    project.write("waits.py", _WAITS)
    keys = "type: python, module: waits, function: serve, background: true"
    project.recipe(
        "x",
        {
            "serve": f"{keys}, ready: {{stdout_matches: up}}",
            "use": "type: python, module: waits, function: until_it_wrote",
        },
    )

    writes = project.blocks()["serve"]["context"]["writes"]

    assert [write["new"] for write in writes] == list(range(1, len(writes) + 1))
    assert len(writes) >= 50


_DIES = (
    "type: shell, background: true, ready: {stdout_matches: ^up}, "
    "cmd: 'echo $PPID > lane; mkfifo go; echo up; read x < go; echo no such disk >&2; exit 3'"
)
# The lane of a service ends after pytest has received the result of the service.
_KNOWN = "while kill -0 $(cat lane) 2>/dev/null; do sleep 0.01; done"
_KILLS = f"type: shell, parse: text, cmd: 'echo > go; {_KNOWN}'"


def _shown(project: Project, result: pytest.RunResult, title: str) -> str:
    text = re.sub(r"\d+\.\d+ s", "N s", project.shown(result, title))
    text = re.sub(r"resources .*", "resources", text)
    return re.sub(r"\(all: .*", "LOG", text)


_DEADLY = f"""\
steps:
  - name: serve
    type: shell
    cmd: mkfifo go; echo $PPID > lane; echo up; read x < go; echo hot >&2; exit 3
    background: true
    ready: {{stdout_matches: ^up}}
  - name: kill
    type: shell
    cmd: echo > go; {_KNOWN}
    parse: text
  - name: use
    type: shell
    cmd: echo use >> ran.txt
    needs: [serve]
finally:
  - name: off
    type: shell
    cmd: echo off >> ran.txt
    parse: text
"""
_NEEDS = """\
recipes/x.yaml:14:12: step 'use': needs service 'serve', which has died: exit code 3, expected 0

  11 |   - name: use
  12 |     type: shell
  13 |     cmd: echo use >> ran.txt
  14 |     needs: [serve]
     |            ^^^^^^^
E   needs service 'serve', which has died: exit code 3, expected 0
    its stderr ends with:
      hot
rerun      pytest recipes/x.yaml::use
"""
_DEATH = """\
recipes/x.yaml:4:10: step 'serve': the service died after N s: exit code 3, expected 0

   2 |   - name: serve
   3 |     type: shell
   4 |     cmd: mkfifo go; echo $PPID > lane; echo up; read x < go; echo hot >&2; exit 3
     |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
E   the service died after N s: exit code 3, expected 0
stderr, 1 line   LOG
  hot
resources
rerun      pytest recipes/x.yaml::serve
command    /bin/sh -e -c 'mkfifo go; echo $PPID > lane; echo up; read x < go; echo hot >&2; exit 3'
"""


def test_a_dead_service_is_an_error_of_its_step_at_the_end(project: Project) -> None:
    project.write("recipes/x.yaml", _DEADLY)

    result = project.run("-rfE")

    result.assert_outcomes(passed=3, failed=1, errors=1)
    assert result.ret == 1
    assert project.ran == ["off"]
    assert _shown(project, result, "use") == _NEEDS
    assert _shown(project, result, "ERROR at teardown of serve") == _DEATH


@pytest.mark.parametrize("arguments", [("-n", "1"), ("--recipe-jobs=2",)])
def test_a_dead_service_is_reported_with_jobs_and_xdist_workers(
    project: Project, arguments: tuple[str, ...]
) -> None:
    project.recipe("x", {"serve": _DIES, "kill": _KILLS}, {"off": ""})

    result = project.run("-rfE", *arguments)

    result.assert_outcomes(passed=3, errors=1)
    assert result.ret == 1
    assert "step 'serve': the service died after " in result.stdout.str()


def test_a_dead_service_that_was_not_selected_is_reported(project: Project) -> None:
    path = project.recipe("x", {"serve": _DIES, "kill": _KILLS})

    result = project.run("-rfE", f"{path}::kill")

    result.assert_outcomes(passed=1, errors=1)
    assert result.ret == 1


@pytest.mark.parametrize("arguments", [(), ("-n", "1")])
def test_leftover_processes_of_a_service_are_reported(
    project: Project, arguments: tuple[str, ...]
) -> None:
    service = "type: shell, background: true, ready: {stdout_matches: up}, cmd: "
    is_there = "until grep -qx sleep /proc/$!/comm; do :; done"
    leaves = f"sleep 600 & {is_there}; echo $! > pids; echo $PPID > lane; mkfifo go; echo up"
    project.recipe("x", {"serve": f"{service}'{leaves}; read x < go'", "kill": _KILLS})

    result = project.run(*arguments)

    result.assert_outcomes(passed=2, warnings=1)
    assert "LeftoverWarning: step 'serve' left running: sleep (pid " in result.stdout.str()
    assert alive(project) == []


@pytest.mark.parametrize("arguments", [(), ("-n", "1"), ("--recipe-jobs=2",)])
def test_the_total_usage_of_a_service_is_in_the_report(
    project: Project, arguments: tuple[str, ...]
) -> None:
    recipe(project)

    block = project.blocks(*arguments)["serve"]

    assert block["step"]["state"] == "passed"
    assert block["resources"]["processes"] == 2
    assert "cpu_user_seconds" in block["resources"]
    assert block["process"]["signal"] == "SIGTERM"
    assert Path(project.path, ".orchestrator/runs/latest", block["logs"]["stdout"]["path"]).exists()
    json.dumps(block)


_TALKS = """
import logging, os, time, warnings
from pathlib import Path

def serve(ctx, params):
    Path("lane").write_text(str(os.getppid()))
    print("up", flush=True)
    while not Path("go").exists():
        time.sleep(0.005)
    logging.getLogger("psu").warning("fan %s stands still", 3)
    warnings.warn("psu is hot")
    Path("said").touch()
    assert not params["dies"], "no such disk"
    time.sleep(600)
"""


@pytest.mark.parametrize("options", [(), ("--recipe-jobs=2",)])
@pytest.mark.parametrize("dies", ["true", "false"])
def test_log_records_of_a_ready_service_are_reported_at_its_end(
    project: Project, options: tuple[str, ...], dies: str
) -> None:
    project.write("talks.py", _TALKS)
    service = "type: python, module: talks, function: serve, background: true"
    ask = "touch go; while [ ! -e said ]; do sleep 0.01; done"
    if dies == "true":
        ask += f"; {_KNOWN}"
    project.recipe(
        "x",
        {
            "serve": f"{service}, ready: {{stdout_matches: up}}, params: {{dies: {dies}}}",
            "use": f"type: shell, parse: text, cmd: '{ask}'",
        },
    )

    result = project.run("--log-file=all.log", *options)

    result.assert_outcomes(passed=2, errors=int(dies == "true"), warnings=1)
    result.stdout.fnmatch_lines(
        ["recipes/x.yaml::serve", "  */talks.py:10: UserWarning: psu is hot"]
    )
    said = "WARNING  psu:talks.py:9 fan 3 stands still"
    assert said in (project.path / "all.log").read_text()
    assert (said in result.outlines) is (dies == "true")


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        (
            "sh",
            "exit code 1, expected 0, before the service was ready: stdout does not match '^up'",
        ),
        (
            "bash",
            (
                "exit code 1, expected 0; line 1 of cmd: false, before the service was ready: "
                "stdout does not match '^up'"
            ),
        ),
    ],
)
def test_a_service_whose_script_fails_is_not_ready(
    project: Project, shell: str, expected: str
) -> None:
    keys = f'shell: {shell}, cmd: "false\\necho up\\nsleep 600"'
    service = f"type: shell, background: true, ready: {{stdout_matches: ^up}}, {keys}"
    project.recipe("x", {"serve": service})

    assert project.reasons() == {"serve": expected}
