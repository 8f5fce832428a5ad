"""Supervisor: ends all processes when pytest is gone, and costs little while it runs."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from benchmarks.faults import (
    IS_THERE,
    PATIENCE,
    SEEN,
    alive,
    end,
    killed,
    new_token,
    seconds_until_gone,
    shell,
)
from pytest_orchestrator.execution.lanes import supervisor_client
from pytest_orchestrator.execution.lanes.lane import Lane, Lanes
from pytest_orchestrator.execution.lanes.messages import CommandRequest, LaneLost
from pytest_orchestrator.execution.supervision import framing


@pytest.fixture
def token() -> Iterator[str]:
    token = new_token()
    yield token
    end(token)


@pytest.fixture(scope="module", params=["linux", "limited"])
def lane(request: pytest.FixtureRequest) -> Iterator[Lane]:
    """A lane that uses the features of Linux, and one without them."""
    with Lanes(limited=request.param == "limited") as lanes:
        yield lanes.shell()


def request(*argv: str, grace: float = 0.3, **fields: Any) -> CommandRequest:
    fields = {"cwd": "/", **fields}
    return CommandRequest(argv=argv, env=dict(os.environ), grace=grace, **fields)


def descriptors() -> Counter[str]:
    """Count the open descriptors by file; those of other tests may be closed at any moment."""
    paths = Path("/proc/self/fd").iterdir()
    return Counter(str(path.readlink()) for path in paths if path.exists())


def test_no_process_starts_before_it_is_needed_and_none_remains() -> None:
    before = descriptors()
    with Lanes() as lanes:
        lane = lanes.shell()
        assert descriptors() <= before
        lane.run(request("true"))
        pids = [lanes.start(), lane.pid]
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)

    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    assert descriptors() <= before


def test_the_supervisor_loads_only_a_few_standard_library_modules() -> None:
    source = supervisor_client.MAIN.replace("main()", "print(*sorted(sys.modules))")
    package = Path(supervisor_client.__file__).parents[2]
    argv = [sys.executable, "-I", "-S", "-c", source, str(package)]
    loaded = set(subprocess.check_output(argv, text=True).split())

    roots = {name.partition(".")[0] for name in loaded}
    assert roots - sys.stdlib_module_names == {"__main__", "pytest_orchestrator"}
    assert loaded & {"collections", "enum", "json", "re", "signal", "socket", "typing"} == set()


def test_leftover_processes_are_ended_on_every_system(lane: Lane, token: str) -> None:
    exited = lane.run(request(*shell(f"sleep $0 & {IS_THERE}; echo done"), token))

    assert (exited.code, exited.stdout.head, len(exited.leftovers)) == (0, b"done\n", 1)
    assert exited.leftovers[0].startswith("sleep (pid ")
    assert alive(token) == []


def test_a_timeout_ends_the_process_tree_on_every_system(lane: Lane, token: str) -> None:
    script = "trap '' TERM; echo; sleep $0 & sleep $0"
    # On a loaded machine TERM may arrive before the program ignores it: repeat.
    runs = (lane.run(request(*shell(script), token, timeout=1.0)) for _ in range(10))
    exited = next(one for one in runs if one.stdout.size)

    assert (exited.timed_out, exited.signal) == (True, "SIGKILL")
    assert exited.usage.seconds < PATIENCE
    assert alive(token) == []


def test_a_child_in_its_own_session_is_found_on_every_system(
    lane: Lane, token: str, tmp_path: Path
) -> None:
    # Without a subreaper the child must be seen once before its parent ends.
    script, samples = f"setsid sleep $0 & {IS_THERE}; {SEEN}", str(tmp_path / "samples")
    exited = lane.run(
        request(*shell(script), token, cwd=str(tmp_path), samples=samples, timeout=PATIENCE)
    )

    assert not exited.timed_out
    assert len(exited.leftovers) == 1
    assert alive(token) == []


def test_limited_lanes_end_their_process_trees_when_pytest_is_killed(token: str) -> None:
    seconds, _ = killed("pytest", token, PATIENCE, limited=True)

    assert seconds is not None


def test_a_killed_supervisor_is_reported_and_replaced(token: str) -> None:
    with Lanes() as lanes:
        first = lanes.start()
        lane = lanes.shell()
        script = f"kill -KILL {first}; setsid sleep $0 & sleep $0"
        with pytest.raises(LaneLost) as lost:
            lane.run(request(*shell(script), token))
        left = alive(token)

        assert str(lost.value) == f"the supervisor (pid {first}) was ended by SIGKILL"
        assert left == []
        assert lane.run(request("true")).code == 0
        assert lanes.start() != first


def test_a_stopped_lane_and_its_program_end_with_the_supervisor(
    token: str, is_gone: Callable[[int], bool]
) -> None:
    with Lanes() as lanes:
        first, lane = lanes.start(), lanes.shell()
        lane.run(request("true"))
        pid = lane.pid
        assert pid is not None
        script = f"kill -STOP $PPID; kill -KILL {first}; setsid sleep $0 & sleep $0"
        with pytest.raises(LaneLost):
            lane.run(request(*shell(script), token, timeout=2.0))

        assert is_gone(pid)
        assert alive(token) == []


_ALL_STOPPED = """
import os, sys
from pytest_orchestrator.execution.lanes.messages import CommandRequest
from pytest_orchestrator.execution.lanes.lane import Lanes

with Lanes() as lanes:
    stops = f"kill -STOP {lanes.start()} $PPID; kill -KILL {os.getpid()}; sleep $0"
    argv = ("/bin/sh", "-c", stops, sys.argv[1])
    lanes.shell().run(CommandRequest(argv=argv, env=dict(os.environ), cwd="/"))
"""


def test_a_stopped_supervisor_and_its_stopped_lanes_end_with_pytest(token: str) -> None:
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    argv = (sys.executable, "-c", _ALL_STOPPED, token)
    ended = subprocess.run(argv, env=env, check=False, timeout=PATIENCE)

    assert ended.returncode == -signal.SIGKILL
    assert seconds_until_gone(token, PATIENCE) is not None


def test_a_lost_lane_reports_the_end_of_its_own_supervisor_not_of_the_next(token: str) -> None:
    with Lanes() as lanes, ThreadPoolExecutor(1) as pool:
        first, lane = lanes.start(), lanes.shell()
        script = "trap '' TERM; while :; do sleep $0; done"
        ending = pool.submit(lane.run, request(*shell(script), token))
        while not alive(token):
            time.sleep(0.01)
        os.kill(first, signal.SIGKILL)
        while lanes.start() == first:  # long before the program is killed
            time.sleep(0.01)
        with pytest.raises(LaneLost) as lost:
            ending.result()

        assert str(lost.value) == f"the supervisor (pid {first}) was ended by SIGKILL"
        assert alive(token) == []


def test_a_supervisor_that_cannot_start_is_reported_with_its_last_line_of_stderr(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor_client, "MAIN", "raise SystemExit('no more')")
    with Lanes() as lanes, pytest.raises(LaneLost) as lost:
        lanes.shell().run(request("true"))

    assert str(lost.value).endswith(" ended with exit code 1: no more")


def test_a_lane_may_be_a_separate_program() -> None:
    source = "import os; os.write(3, b'here'); os.read(4, 1)"
    with Lanes() as lanes:
        connection, pid = lanes.connect(argv=[sys.executable, "-c", source], env={})
        assert connection.recv(10) == b"here"
        status, leftovers = lanes.drop(pid, grace=0.0)
        connection.close()

    assert status is not None
    assert (os.WTERMSIG(status), leftovers) == (signal.SIGKILL, ())


def test_a_cancel_that_arrives_too_late_affects_no_program() -> None:
    with Lanes() as lanes:
        connection, _ = lanes.connect()
        fields = structs.asdict(request("sh", "-c", "exit 5"))
        framing.send(connection, {"cancel": 1, "at_once": True})
        framing.send(connection, fields | {"id": 2})
        reply = framing.answer(connection)
        connection.close()

    assert (reply["status"], reply["cancelled"]) == (5 << 8, False)


def test_a_lane_that_cannot_start_raises_an_oserror() -> None:
    with Lanes() as lanes, pytest.raises(FileNotFoundError):
        lanes.connect(argv=["/none"], env={})


def test_a_debugger_does_not_attach_to_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[bool] = []
    real = subprocess.Popen

    @contextmanager
    def skip_subprocess_arg_patch() -> Iterator[None]:
        def recorded(*args: object, **more: object) -> object:
            started.append(True)
            return real(*args, **more)  # type: ignore[call-overload]

        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", recorded)
            yield

    monkey = SimpleNamespace(skip_subprocess_arg_patch=skip_subprocess_arg_patch)
    monkeypatch.setitem(sys.modules, "_pydev_bundle.pydev_monkey", monkey)

    with Lanes() as lanes:
        assert lanes.shell().run(request("true")).code == 0

    assert started == [True]
