"""Steps on Dask workers: a session reports the same as for steps on its own machine."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.plugin.lab import lab
from tests.plugin.views import REPORTS, differences, views

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugin.conftest import Project
    from tests.plugin.lab import Lab

pytestmark = [pytest.mark.nightly, pytest.mark.own_interpreters]

ROOT = Path(__file__).parents[2]
PIN, SESSION, TOKEN = "pin-4711-of-vars", "session-of-the-context", "token-of-the-worker"

BENCH = f"""
import logging
import os
import warnings
from pathlib import Path

import pytest

log = logging.getLogger("bench")


def measure(ctx, params):
    ctx.set("session", "{SESSION}")
    ctx.append("volts", 11.9)
    print("log in", params["pin"], os.environ["BENCH_TOKEN"], ctx["session"])
    log.warning("the pin is %s", params["pin"])
    warnings.warn("the probe is worn out")
    Path("out").mkdir(exist_ok=True)
    Path("out", f"{{params['channel']}}.csv").write_text("volts\\n11.9\\n")
    return {{"status": "ok", "volts": 11.9}}


def flaky(ctx, params):
    file = Path("out", f"tries-{{params['channel']}}")
    file.parent.mkdir(exist_ok=True)
    tries = len(file.read_text()) + 1 if file.exists() else 1
    file.write_text("x" * tries)
    assert tries == 2, f"try {{tries}} with {{params['pin']}}"
    return {{"status": "ok"}}


def compare(ctx, params):
    assert ctx["volts"] == [12.0], os.environ["BENCH_TOKEN"]


def pause(ctx, params):
    pytest.skip("the chamber is warm")
"""

RECIPE = f"""
matrix: {{channel: [1, 2]}}
vars: {{pin: {PIN}}}
secrets: [vars.pin, ctx.session]
defaults: {{parse: text}}
x-of-bench: &bench
  type: python
  module: bench
  params: {{channel: "${{{{ matrix.channel }}}}", pin: "${{{{ vars.pin }}}}"}}
steps:
  - name: unlock
    type: shell
    cmd: echo "unlocked SIM-7 with $PIN and $BENCH_TOKEN"
    args: {{PIN: "${{{{ vars.pin }}}}"}}
    outputs: {{bench.serial: {{from: stdout, regex: 'SIM-(\\d)'}}}}
    success: {{stdout_contains: unlocked}}
  - name: measure
    <<: *bench
    function: measure
    needs: [unlock]
    artifacts: [out/*.csv]
    measurements: {{supply: {{value: result.volts, unit: V, low: 11, high: 13}}}}
    success:
      files: [{{path: "out/${{{{ matrix.channel }}}}.csv", contains: volts, fresh: true}}]
      ctx_has_keys: [session]
  - {{name: flaky, <<: *bench, function: flaky, needs: [unlock], retry: {{attempts: 3}}}}
  - {{name: compare, <<: *bench, function: compare, needs: [measure]}}
  - {{name: blocked, type: shell, cmd: exit 1, needs: [compare]}}
  - {{name: known, type: shell, cmd: exit 3, needs: [flaky], xfail: BUG-17}}
  - {{name: pause, <<: *bench, function: pause, needs: []}}
  - {{name: none, type: shell, cmd: cat, success: {{files_exist: [nothing.txt]}}, needs: []}}
finally:
  - {{name: cool, type: shell, cmd: echo off}}
"""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A scheduler and two workers, with a secret in their own environment."""
    with lab(tmp_path_factory.mktemp("lab"), threads=2, environ={"BENCH_TOKEN": TOKEN}) as started:
        yield started


@pytest.fixture
def dask(workers: Lab) -> str:
    """The option with which steps run on these workers.

    Sessions with it are processes of their own: pytester unloads imported modules after a session
    in this process, and Dask cannot be imported twice in one process.
    """
    return f"--recipe-dask={workers.address}"


class ReportedRun:
    """A run and its reports.

    Attributes:
        result: The run.
        blocks: The blocks of its steps, by node id.
    """

    def __init__(self, project: Project, *args: str) -> None:
        file = project.path / "told.json"
        file.unlink(missing_ok=True)
        self.result = project.spawn("-rA", *REPORTS, *args)
        self.report = file.read_text()
        self.views = views(project.path)
        tests = json.loads(self.report)["tests"]
        blocks = [test["metadata"]["orchestrator"] for test in tests if "metadata" in test]
        self.blocks = {block["step"]["node"]: block for block in blocks}

    @property
    def is_away(self) -> set[bool]:
        """For all steps that ran, True if a worker ran them, False if this machine did."""
        return {"where" in block for block in self.blocks.values() if block.get("process")}


def test_sample_recipes_report_the_same_on_workers(project: Project, dask: str) -> None:
    # The readings of this recipe change with time, and its steps that use instruments run here.
    others = shutil.ignore_patterns("psu_scpi.yaml")
    for name in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / name, project.path / name, ignore=others)
    here = ReportedRun(project)
    shutil.rmtree(project.path / "out")
    there = ReportedRun(project, dask)

    assert there.result.ret == here.result.ret == 0
    assert there.result.parseoutcomes() == here.result.parseoutcomes()
    assert list(differences(here.views, there.views)) == []
    ran_here = {node for node, block in there.blocks.items() if "where" not in block}
    assert {there.blocks[node]["step"]["state"] for node in ran_here} <= {"skipped", "passed"}


def test_every_outcome_is_reported_the_same_on_workers_without_secrets(
    project: Project, dask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("bench.py", BENCH)
    project.write("recipes/x.yaml", RECIPE)
    monkeypatch.setenv("BENCH_TOKEN", TOKEN)
    here = ReportedRun(project)
    shutil.rmtree(project.path / "out")
    monkeypatch.delenv("BENCH_TOKEN")
    shutil.rmtree(project.path / ".orchestrator")
    there = ReportedRun(project, dask)

    assert there.result.parseoutcomes() == here.result.parseoutcomes()
    assert list(differences(here.views, there.views)) == []
    assert (here.is_away, there.is_away) == ({False}, {True})
    states = {
        node.partition("::")[2]: block["step"]["state"] for node, block in there.blocks.items()
    }
    assert states == {
        f"{name}[channel:{channel}]": state
        for channel in (1, 2)
        for name, state in {
            "unlock": "passed",
            "measure": "passed",
            "flaky": "passed",
            "compare": "failed",
            "blocked": "blocked",
            "known": "xfailed",
            "pause": "skipped",
            "none": "failed",
            "cool": "passed",
        }.items()
    }
    starts = {block["time"]["start"] for block in there.blocks.values() if block.get("process")}
    assert len(starts) > 12  # the start of each step code, and not its submission

    (copy,) = project.path.glob(".orchestrator/runs/2*/artifacts/x/channel=1/out/1.csv")
    assert copy.read_text() == "volts\n11.9\n"
    (log,) = project.path.glob(".orchestrator/runs/2*/logs/x/channel=1/measure.1.stdout")
    assert log.read_text() == "log in *** *** ***\n"
    (records,) = project.path.glob(".orchestrator/runs/2*/logs/x/channel=1/measure.1.log")
    assert records.read_text().endswith(" the pin is ***\n")
    assert there.blocks["recipes/x.yaml::measure[channel:1]"]["logs"]["log"] == {
        "path": "logs/x/channel=1/measure.1.log",
        "bytes": records.stat().st_size,
        "cut": False,
    }
    files = [*project.path.glob(".orchestrator/**/*"), project.path / "told.xml"]
    texts = {file.name: file.read_bytes() for file in files if file.is_file()}
    assert {"journal.jsonl", "context.json", "told.xml"} <= set(texts)
    texts |= {"shown": str(there.result.stdout).encode(), "report": there.report.encode()}
    for secret in (PIN, SESSION, TOKEN):
        assert [name for name, text in texts.items() if secret.encode() in text] == []


_LANGUAGE = r"""
env: {FROM: root, LEVEL: root, LAST: root}
defaults: {env: {LEVEL: default, LAST: default}, parse: text}
x-of-python: &python {type: python, module: seen, function: look, needs: []}
steps:
  - {name: shell, type: shell, needs: [], env: {LAST: "${{ 1 + 2 }}"},
      cmd: 'echo $FROM $LEVEL $LAST', success: {stdout_contains: root default 3}}
  - {name: unset, type: shell, needs: [], env: {FROM: null}, cmd: 'echo ${FROM-none}',
      success: {stdout_contains: none}}
  - {name: code, <<: *python, env: {LAST: step}, success: {assert: [
      "result.imported == ['root', 'default', 'step']", "result.now == result.imported"]}}
  - {name: other, <<: *python, success: {assert: [
      "result.imported == ['root', 'default', 'default']", "result.now == result.imported"]}}
  - {name: sh, type: shell, needs: [], cmd: "false\necho flashed\n"}
  - {name: bash, type: shell, needs: [], shell: bash, cmd: "false\necho flashed\n"}
  - {name: list, type: shell, needs: [], shell: [sh, -e], cmd: "false\necho flashed\n"}
  - {name: piped, type: shell, needs: [], shell: bash, cmd: "true | false | cat"}
  - {name: missing, type: shell, needs: [], cmd: "true\nno-such -x\necho flashed\n"}
  - {name: typed, type: shell, needs: [], cmd: echo SN-0042 7,
      outputs: {dut.number: {from: stdout, regex: 'SN-(\d+)', type: integer},
        dut.serial: {from: stdout, regex: 'SN-(\d+)'}},
      success: {assert: ["ctx.dut.number == 42", "ctx.dut.serial == '0042'"]},
      measurements: {
        close: {value: ctx.dut.number, unit: V, low: 0, high: 45, marginal: {high: 40}},
        inside: {value: ctx.dut.number, unit: V, low: 0, high: 90, marginal: {percent: 10}}}}
  - {name: wrong, type: shell, needs: [], cmd: echo volts x,
      outputs: {dut.volts: {from: stdout, regex: 'volts (\w)', type: number}}}
"""
_SEEN = """
import os

NAMES = ("FROM", "LEVEL", "LAST")
IMPORTED = [os.environ.get(name) for name in NAMES]


def look(ctx, params):
    now = [os.environ.get(name) for name in NAMES]
    return {"status": "ok", "imported": IMPORTED, "now": now}
"""


def test_variables_shells_and_typed_outputs_are_the_same_on_workers(project: Project) -> None:
    project.write("seen.py", _SEEN)
    project.write("recipes/x.yaml", _LANGUAGE)
    run = ReportedRun(project, "--recipe-dask=local:2")

    assert run.is_away == {True}
    steps = {node.partition("::")[2]: block for node, block in run.blocks.items()}
    failed = {
        name: (block["step"]["kind"], block["step"]["reason"])
        for name, block in steps.items()
        if block["step"]["state"] != "passed"
    }
    assert failed == {
        "sh": ("exit_code", "exit code 1, expected 0"),
        "bash": ("exit_code", "exit code 1, expected 0; line 1 of cmd: false"),
        "list": ("exit_code", "exit code 1, expected 0"),
        "piped": ("exit_code", "exit code 1, expected 0"),
        "missing": (
            "not_found",
            (
                "exit code 127: a program was not found: /bin/sh: 2: no-such: not found; "
                "line 2 of cmd: no-such -x"
            ),
        ),
        "wrong": ("criterion", "outputs.dut.volts: 'x' in stdout should be a number"),
    }
    outputs = project.path.glob(".orchestrator/runs/2*/logs/x/*.stdout")
    assert not any("flashed" in path.read_text() for path in outputs)
    marginal = {one["name"]: one.get("marginal", False) for one in steps["typed"]["measurements"]}
    assert marginal == {"close": True, "inside": False}


_ENDS = """
import pytest


def end(ctx, params):
    pytest.exit("power is off", 7)
"""


def test_an_interrupted_run_is_resumed_on_workers(project: Project, dask: str) -> None:
    check = "type: shell, parse: text, cmd: test -e mended"
    project.recipe("x", {"one": "", "two": check, "three": "", "four": ""}, {"off": ""})
    project.spawn(dask, "-x").assert_outcomes(passed=2, failed=1)
    assert project.ran == ["one", "off"]

    project.write("mended", "")
    project.spawn(dask, "--recipe-resume").assert_outcomes(passed=4, skipped=1)
    assert project.ran == ["one", "off", "three", "four", "off"]

    project.forget()
    options = ("--recipe-needs=snapshot", "-k", "four")
    project.spawn(dask, *options).assert_outcomes(passed=1, deselected=4)
    assert project.ran == ["four", "off"]

    project.write("ends.py", _ENDS)
    project.recipe(
        "x", {"one": "", "last": "type: python, module: ends, function: end"}, {"off": ""}
    )
    project.forget()
    assert project.spawn(dask).ret == 7
    assert project.ran == ["one", "off"]


def test_a_large_result_of_a_worker_is_accepted_as_of_a_lane(project: Project, dask: str) -> None:
    """The limit of a result is 16 MiB, on a worker as in a lane beside pytest."""
    large = """printf '{"status": "ok", "a": "%015000000d"}' 7"""
    project.write("large.sh", f"#!/bin/sh\n{large}\n").chmod(0o755)
    project.write("recipes/x.yaml", "steps: [{name: s, type: shell, cmd: ./large.sh}]\n")
    project.run(dask).assert_outcomes(passed=1)


OTHER_USER = """
import asyncio, json, os, sys
from distributed import Security
from distributed.core import connect

if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)


async def asked(address, **how):
    comm = await connect(address, **how)
    await comm.write({"op": "identity", "reply": True})
    return str(await comm.read())


async def obeyed(address, **how):
    try:
        return await asyncio.wait_for(asked(address, **how), 10)
    except Exception:
        return ""


async def answered(port):
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
        line = await asyncio.wait_for(reader.readline(), 1)
        return line.decode(errors="replace") if line.startswith(b"HTTP") else ""
    except (OSError, TimeoutError):
        return ""


async def tried(port):
    own = Security.temporary().get_connection_args("client")
    return {
        "tcp": await obeyed(f"tcp://127.0.0.1:{port}"),
        "tls": await obeyed(f"tls://127.0.0.1:{port}", **own),
        "http": await answered(port),
    }


async def main():
    ports = sys.argv[1:]
    print(json.dumps(dict(zip(ports, await asyncio.gather(*map(tried, ports))))), flush=True)
    os._exit(0)  # a connection may still wait

asyncio.run(main())
"""

LOCAL = """
import json, os, subprocess, sys, tempfile
from pathlib import Path

import psutil


def attacked(ctx, params):
    session = psutil.Process(int(os.environ["OF_PYTEST"]))
    tree = [session, *session.children(recursive=True)]
    ports = {
        each.laddr.port
        for process in tree
        for each in process.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    other_user = subprocess.run(
        [sys.executable, "other_user.py", *map(str, ports)], capture_output=True, text=True
    )
    assert not other_user.returncode, other_user.stderr
    header = b"PRIVATE " + b"KEY"
    readable = [
        Path(f"/proc/{process.pid}/{name}") for process in tree for name in ("cmdline", "environ")
    ]
    key_files = [path for path in Path(tempfile.gettempdir()).rglob("dask.pem")]
    answers = [each for each in json.loads(other_user.stdout).items() if any(each[1].values())]
    assert len(ports) > 4
    assert answers == []
    assert [str(path) for path in readable if path.exists() and header in path.read_bytes()] == []
    assert [str(path) for path in key_files if path.exists()] == []
    return {"status": "ok"}
"""


def test_other_users_of_the_machine_cannot_use_a_local_cluster(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("t")))  # for this session only
    project.write("local.py", LOCAL)
    project.write("other_user.py", OTHER_USER)
    project.write(
        "conftest.py",
        "import os\ndef pytest_configure(config): os.environ['OF_PYTEST'] = str(os.getpid())\n",
    )
    project.recipe("a", {"one": "type: python, module: local, function: attacked"})

    result = project.spawn("--recipe-dask=local:2", "-vv")

    result.assert_outcomes(passed=1)
