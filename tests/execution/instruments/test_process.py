"""Tests of the instrument process: its requests, its end, and the end of pytest."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator.execution.instruments.process import InstrumentProcess
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.instrument import InstrumentError
from tests.instruments import IDN, POWER_SUPPLY, SIMULATED, ScpiInstrument

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def lanes() -> Iterator[Lanes]:
    with Lanes() as lanes:
        yield lanes


def started(lanes: Lanes) -> InstrumentProcess:
    return InstrumentProcess(lanes)


@pytest.fixture(scope="module")
def shared(lanes: Lanes) -> Iterator[InstrumentProcess]:
    """A process for the tests that do not end it."""
    process = started(lanes)
    yield process
    process.close(PATIENCE)


@pytest.fixture
def process(lanes: Lanes) -> Iterator[InstrumentProcess]:
    """A process for a test that ends it."""
    process = started(lanes)
    yield process
    process.close(0.0)


def submit(
    process: InstrumentProcess, name: str, do: str, command: str | None = None, **more: Any
) -> InterruptibleFuture:
    return process.submit({"name": name, "do": do, "command": command, **more})


def done(process: InstrumentProcess, *request: str, **more: Any) -> Any:
    return submit(process, *request, **more).result(PATIENCE)


def open_socket(process: InstrumentProcess, name: str, server: ScpiInstrument) -> None:
    options = {"resource": server.resource, "backend": "@py", "timeout": PATIENCE}
    done(process, name, "open", options=options)


def error_of(future: InterruptibleFuture) -> InstrumentError:
    with pytest.raises(InstrumentError) as caught:
        future.result(PATIENCE)
    return caught.value


@pytest.mark.measured
def test_all_operations_reach_the_instrument(process: InstrumentProcess) -> None:
    with ScpiInstrument({"CURV?": b"#13\0\1\xff\n"}) as server:
        open_socket(process, "psu", server)
        for request, more in (
            (("write", "VOLT 5"), {}),
            (("write_block", "D "), {"data": b"\xff"}),
        ):
            assert done(process, "psu", *request, **more) is None

        assert done(process, "psu", "query", "VOLT?") == "5.000"
        assert done(process, "psu", "block", "CURV?") == b"\0\1\xff"
        done(process, "psu", "write", "CURR?")
        assert done(process, "psu", "read") == "1.000"
        assert server.blocks == [b"\xff"]
        assert done(process, "psu", "close") is None
        server.wait_until_closed()
        closed = error_of(submit(process, "psu", "query", "VOLT?"))
        assert str(closed) == "psu: 'VOLT?' cannot be sent: it is not open"
        unknown = error_of(submit(process, "psu", "melt"))
        assert str(unknown) == "psu: unknown operation 'melt'"
    process.close(PATIENCE)
    assert process.has_ended


def test_an_error_has_its_instrument_its_command_and_its_kind(shared: InstrumentProcess) -> None:
    options = {"resource": SIMULATED, "backend": f"{POWER_SUPPLY}@sim", "timeout": PATIENCE}
    done(shared, "sim", "open", options=options)
    error = error_of(submit(shared, "sim", "query", "NOTHING?", timeout=0.05))

    assert (str(error), error.instrument, error.command, error.kind) == (
        "sim: no answer to 'NOTHING?' within 0.05 s",
        "sim",
        "NOTHING?",
        "timeout",
    )


def test_an_instrument_that_hangs_does_not_delay_another_one(shared: InstrumentProcess) -> None:
    with ScpiInstrument(held=("MEAS:CURR?",)) as hanging, ScpiInstrument() as quick:
        open_socket(shared, "hanging", hanging)
        open_socket(shared, "quick", quick)
        late = submit(shared, "hanging", "query", "MEAS:CURR?")
        after = submit(shared, "hanging", "query", "VOLT?")
        hanging.wait_for("MEAS:CURR?")

        assert done(shared, "quick", "query", "*IDN?") == IDN
        assert not late.done()
        assert hanging.texts == ["MEAS:CURR?"]  # the commands of one instrument have an order
        hanging.release.set()
        assert late.result(PATIENCE) == "+0.0000E+00"
        assert after.result(PATIENCE) == "0.000"


def test_an_interrupted_query_lets_the_next_command_be_sent_at_once(
    shared: InstrumentProcess,
) -> None:
    with ScpiInstrument({"*IDN?": "X"}, held=("MEAS:CURR?",)) as server:
        open_socket(shared, "psu", server)
        late = submit(shared, "psu", "query", "MEAS:CURR?")
        off = submit(shared, "psu", "write", "OUTP 0")
        server.wait_for("MEAS:CURR?")
        assert not off.done()

        assert done(shared, "psu", "interrupt") is True
        assert str(error_of(late)) == "psu: 'MEAS:CURR?' was interrupted"
        assert off.result(PATIENCE) is None
        assert server.connections == 1  # nothing was opened again for a command without an answer
        server.release.set()
        assert done(shared, "psu", "query", "*IDN?") == "X"
        assert server.texts == ["MEAS:CURR?", "OUTP 0", "*IDN?"]


def test_a_simulated_device_cannot_be_interrupted(shared: InstrumentProcess) -> None:
    options = {"resource": SIMULATED, "backend": f"{POWER_SUPPLY}@sim", "timeout": PATIENCE}
    done(shared, "other", "open", options=options)

    assert done(shared, "other", "interrupt") is False
    assert done(shared, "other", "query", "*IDN?") == IDN


def test_a_killed_process_fails_the_requests_that_wait_and_all_later_ones(
    process: InstrumentProcess,
) -> None:
    with ScpiInstrument(held=("MEAS:CURR?",)) as server:
        open_socket(process, "psu", server)
        late = submit(process, "psu", "query", "MEAS:CURR?")
        server.wait_for("MEAS:CURR?")
        os.kill(process.pid, signal.SIGKILL)

        end = f"the instrument process (pid {process.pid}) was ended by SIGKILL"
        error = error_of(late)
        assert str(error) == f"psu: 'MEAS:CURR?' was not completed: {end}"
        assert (error.instrument, error.command, error.kind) == ("psu", "MEAS:CURR?", "closed")
        assert process.has_ended
        later = error_of(submit(process, "psu", "open", options={}))
        assert str(later) == f"psu: 'open' was not completed: {end}"
        server.wait_until_closed()


def test_an_idle_process_closes_its_sessions_and_ends(process: InstrumentProcess) -> None:
    with ScpiInstrument() as server:
        open_socket(process, "psu", server)
        process.close(PATIENCE)

        server.wait_until_closed()
        assert str(error_of(submit(process, "psu", "read"))) == (
            f"psu: 'read' was not completed: the instrument process (pid {process.pid}) "
            "ended with exit code 0"
        )


def test_a_command_that_runs_at_the_close_is_completed_within_the_grace(
    process: InstrumentProcess,
) -> None:
    with ScpiInstrument(held=("MEAS:CURR?",)) as server:
        open_socket(process, "psu", server)
        late = submit(process, "psu", "query", "MEAS:CURR?")
        server.wait_for("MEAS:CURR?")
        closing = threading.Thread(target=process.close, args=(PATIENCE,))
        closing.start()
        server.release.set()
        closing.join()

        assert late.result(PATIENCE) == "+0.0000E+00"


def test_the_close_of_a_process_whose_instrument_hangs_is_bounded_by_the_grace(
    process: InstrumentProcess,
) -> None:
    with ScpiInstrument(held=("MEAS:CURR?",)) as server:
        open_socket(process, "psu", server)
        late = submit(process, "psu", "query", "MEAS:CURR?")
        server.wait_for("MEAS:CURR?")
        process.close(0.1)

        assert str(error_of(late)) == (
            "psu: 'MEAS:CURR?' was not completed: the instrument process "
            f"(pid {process.pid}) was ended by SIGKILL"
        )
        server.wait_until_closed()


def test_signals_to_all_processes_do_not_end_it(shared: InstrumentProcess) -> None:
    with ScpiInstrument() as server:
        open_socket(shared, "psu", server)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            os.kill(shared.pid, number)

        assert done(shared, "psu", "query", "*IDN?") == IDN


def test_a_killed_supervisor_ends_the_process() -> None:
    with Lanes() as lanes, ScpiInstrument() as server:
        process = started(lanes)
        open_socket(process, "psu", server)
        supervisor = lanes.start()
        os.kill(supervisor, signal.SIGKILL)

        server.wait_until_closed()
        process.close(PATIENCE)
        assert str(error_of(submit(process, "psu", "read"))) == (
            f"psu: 'read' was not completed: the instrument process (pid {process.pid}) was ended, "
            f"because the supervisor (pid {supervisor}) was ended by SIGKILL"
        )


KILLED = """\
    import os, signal, sys
    from pytest_orchestrator.execution.instruments.process import *
    from pytest_orchestrator.execution.lanes.lane import Lanes
    lanes = Lanes()
    process = InstrumentProcess(lanes)
    options = {"resource": sys.argv[1], "timeout": 60.0}
    process.submit({"name": "psu", "do": "open", "options": options}).result()
    process.submit({"name": "psu", "do": "query", "command": "MEAS:CURR?"})
    print(process.pid, flush=True)
    sys.stdin.read()
"""


def test_the_process_ends_when_pytest_is_killed_while_a_query_waits(
    is_gone: Callable[[int], bool],
) -> None:
    with ScpiInstrument(held=("MEAS:CURR?",)) as server:
        pytest_process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(KILLED), server.resource],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with pytest_process:
            assert pytest_process.stdout is not None
            pid = int(pytest_process.stdout.readline())
            server.wait_for("MEAS:CURR?")
            pytest_process.kill()

        server.wait_until_closed()
        assert is_gone(pid)


def test_a_module_of_the_user_does_not_replace_a_library(
    lanes: Lanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("pyvisa", "serial", "queue"):
        (tmp_path / f"{name}.py").write_text("raise ImportError('this is a file of the user')")
    monkeypatch.syspath_prepend(tmp_path)
    process = started(lanes)
    with ScpiInstrument() as server:
        open_socket(process, "psu", server)
        assert done(process, "psu", "query", "*IDN?") == IDN
        process.close(PATIENCE)


def test_a_process_that_cannot_be_started_is_an_error(
    lanes: Lanes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/no/python")
    opened = len([*Path("/proc/self/fd").iterdir()])

    with pytest.raises(InstrumentError) as caught:
        InstrumentProcess(lanes)
    assert str(caught.value) == (
        "the instrument process cannot be started: "
        "[Errno 2] No such file or directory: '/no/python'"
    )
    assert len([*Path("/proc/self/fd").iterdir()]) == opened
