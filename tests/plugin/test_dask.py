"""Steps on workers of Dask: a session tells of them what it tells of steps on its own machine."""

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
    with lab(tmp_path_factory.mktemp("lab"), threads=2, environ={"BENCH_TOKEN": TOKEN}) as found:
        yield found


@pytest.fixture
def dask(workers: Lab) -> str:
    """The option that has steps run by these workers.

    Such a session is a process of its own: what pytester takes away of Dask after a session in this
    one does not all come twice into a process.
    """
    return f"--recipe-dask={workers.address}"


class Told:
    """What a run tells.

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
        found = [test["metadata"]["orchestrator"] for test in tests if "metadata" in test]
        self.blocks = {block["step"]["node"]: block for block in found}

    @property
    def is_away(self) -> set[bool]:
        """Tell of the steps that ran whether a worker has run them."""
        ran = [one for one in self.blocks.values() if one.get("process")]
        return {"where" in block for block in ran}


def test_the_samples_tell_the_same(project: Project, dask: str) -> None:
    for name in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / name, project.path / name)
    here = Told(project)
    shutil.rmtree(project.path / "out")
    there = Told(project, dask)

    assert there.result.ret == here.result.ret == 0
    assert there.result.parseoutcomes() == here.result.parseoutcomes()
    assert list(differences(here.views, there.views)) == []
    ran_here = {node for node, block in there.blocks.items() if "where" not in block}
    assert {there.blocks[node]["step"]["state"] for node in ran_here} <= {"skipped", "passed"}


def test_whatever_becomes_of_steps_is_told_the_same_and_no_secret(
    project: Project, dask: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("bench.py", BENCH)
    project.write("recipes/x.yaml", RECIPE)
    monkeypatch.setenv("BENCH_TOKEN", TOKEN)
    here = Told(project)
    shutil.rmtree(project.path / "out")
    monkeypatch.delenv("BENCH_TOKEN")
    shutil.rmtree(project.path / ".orchestrator")
    there = Told(project, dask)

    assert there.result.parseoutcomes() == here.result.parseoutcomes()
    assert list(differences(here.views, there.views)) == []
    assert (here.is_away, there.is_away) == ({False}, {True})
    states = {node.partition("::")[2]: one["step"]["state"] for node, one in there.blocks.items()}
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
    begun = {one["time"]["start"] for one in there.blocks.values() if one.get("process")}
    assert len(begun) > 12  # when each began, and not when they were handed out

    (copy,) = project.path.glob(".orchestrator/runs/2*/artifacts/x/channel=1/out/1.csv")
    assert copy.read_text() == "volts\n11.9\n"
    (log,) = project.path.glob(".orchestrator/runs/2*/logs/x/channel=1/measure.1.stdout")
    assert log.read_text() == "log in *** *** ***\n"
    files = [*project.path.glob(".orchestrator/**/*"), project.path / "told.xml"]
    texts = {one.name: one.read_bytes() for one in files if one.is_file()}
    assert {"journal.jsonl", "context.json", "told.xml"} <= set(texts)
    texts |= {"shown": str(there.result.stdout).encode(), "report": there.report.encode()}
    for word in (PIN, SESSION, TOKEN):
        assert [name for name, text in texts.items() if word.encode() in text] == []


_ENDS = """
import pytest


def end(ctx, params):
    pytest.exit("power is off", 7)
"""


def test_a_run_that_is_cut_short_goes_on_later(project: Project, dask: str) -> None:
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


def test_a_large_result_comes_from_a_worker_as_from_a_lane(project: Project, dask: str) -> None:
    """What a step may return beside pytest it may return on a worker: 16 MiB at most."""
    large = """printf '{"status": "ok", "a": "%015000000d"}' 7"""
    project.write("large.sh", f"#!/bin/sh\n{large}\n").chmod(0o755)
    project.write("recipes/x.yaml", "steps: [{name: s, type: shell, cmd: ./large.sh}]\n")
    project.run(dask).assert_outcomes(passed=1)


STRANGER = """
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
    os._exit(0)  # whatever a connection waits for

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
        for one in tree
        for each in one.net_connections("tcp")
        if each.status == psutil.CONN_LISTEN
    }
    stranger = subprocess.run(
        [sys.executable, "stranger.py", *map(str, ports)], capture_output=True, text=True
    )
    assert not stranger.returncode, stranger.stderr
    word = b"PRIVATE " + b"KEY"
    told = [Path(f"/proc/{one.pid}/{name}") for one in tree for name in ("cmdline", "environ")]
    kept = [path for path in Path(tempfile.gettempdir()).rglob("dask.pem")]
    got_in = [each for each in json.loads(stranger.stdout).items() if any(each[1].values())]
    assert len(ports) > 4
    assert got_in == []
    assert [str(path) for path in told if path.exists() and word in path.read_bytes()] == []
    assert [str(path) for path in kept if path.exists()] == []
    return {"status": "ok"}
"""


def test_no_other_user_of_the_machine_gets_into_a_local_cluster(
    project: Project, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("t")))  # of this session alone
    project.write("local.py", LOCAL)
    project.write("stranger.py", STRANGER)
    project.write(
        "conftest.py",
        "import os\ndef pytest_configure(config): os.environ['OF_PYTEST'] = str(os.getpid())\n",
    )
    project.recipe("a", {"one": "type: python, module: local, function: attacked"})

    result = project.spawn("--recipe-dask=local:2", "-vv")

    result.assert_outcomes(passed=1)
