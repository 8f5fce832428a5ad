"""The bench: use of instruments, their locks, and their safe states."""

import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator.core.errors import JournalError, LockError
from pytest_orchestrator.core.events import InstrumentExchange, InstrumentSafe
from pytest_orchestrator.execution.instruments.bench import (
    NEVER,
    Bench,
    Ending,
    Kept,
    StepOver,
)
from pytest_orchestrator.execution.instruments.use import LaneEnding, RecipeInstruments, no_access
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.instrument import InstrumentError, InstrumentRequest, Operation
from pytest_orchestrator.recipe.station.model import InstrumentSettings
from pytest_orchestrator.recipe.station.reader import load_station

STATION = """\
name: bench-3
instruments:
  psu:
    resource: TCPIP::192.0.2.7::INSTR
    idn: ACME,PSU
    lock: psu
    init: ["*RST"]
    safe: [OUTP OFF, VOLT 0]
  load:
    resource: TCPIP::192.0.2.8::INSTR
    lock: load
    safe: [INP OFF]
  meter:
    resource: TCPIP::192.0.2.9::INSTR
    lock: meter
"""


CONFIRMED = ("> *OPC?", "< 1", "> SYST:ERR?", '< 0,"No error"')
"""End of the transcript of a safe state that was reached."""


class Process:
    """Instrument process whose answers are given by a table.

    Attributes:
        log: What was sent, with the name of the instrument.
        answers: Answers by command; a missing answer is an error, as of a silent instrument.
        ends_at: The command at which the process ends.
        silent: A command that is never answered.
        lost: The command at which the connection to the instrument is lost.
    """

    def __init__(self, log: list[str], pid: int) -> None:
        self.log, self.pid = log, pid
        self.answers = {"*IDN?": "ACME,PSU,1,2", "*OPC?": "1", "SYST:ERR?": '0,"No error"'}
        self.has_ended = False
        self.ends_at = self.silent = self.lost = ""
        self.pending: list[InterruptibleFuture] = []

    def submit(self, request: dict[str, Any], author: object) -> InterruptibleFuture:
        name, do, command = request["name"], request["do"], request.get("command", "")
        self.log.append(f"{name}: {command or do}")
        future = InterruptibleFuture()
        if command and command == self.ends_at:
            self.has_ended = True
        if self.has_ended:
            error = InstrumentError(f"{name}: the instrument process ended", kind="closed")
            future.set_exception(error)
        elif command and command == self.lost:
            why = f"{name}: the connection was lost at '{command}'"
            future.set_exception(InstrumentError(why, kind="closed"))
        elif command and command == self.silent:
            self.pending.append(future)
        elif do == "query" and command not in self.answers:
            why = f"{name}: no answer to '{command}' within 2 s"
            future.set_exception(InstrumentError(why, kind="timeout"))
        else:
            future.set_result(self.answers.get(command) if do == "query" else None)
        return future

    def close(self, grace: float) -> None:
        self.has_ended = True
        self.log.append(f"process {self.pid} closed")
        for future in self.pending:
            future.set_exception(InstrumentError("psu: the process was ended", kind="closed"))


class Events:
    """Listener of a bench that keeps the events."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.safe: list[InstrumentSafe] = []
        self.exchanges: list[InstrumentExchange] = []
        self.data: list[bytes | None] = []
        self.error: Exception | None = None
        self.then: Callable[[], object] = lambda: None

    def opened(self, recipe: str, settings: InstrumentSettings, idn: str, overdue: str) -> None:
        if self.error is not None:
            raise self.error
        self.log.append(f"{settings.name} opened by {recipe}: {idn or '-'}")
        self.then()

    def made_safe(self, result: InstrumentSafe) -> None:
        self.safe.append(result)

    def exchanged(self, exchange: InstrumentExchange, data: bytes | None) -> None:
        self.exchanges.append(exchange)
        self.data.append(data)


class Setup:
    """A bench with processes of a table, and recipes whose locks are free."""

    def __init__(self, folder: Path, text: str = STATION, today: date = date(2026, 1, 1)) -> None:
        path = folder / "station.yaml"
        path.write_text(text)
        self.station = load_station(path, folder)
        self.log: list[str] = []
        self.events = Events(self.log)
        self.processes: list[Process] = []
        self.prepare: Callable[[Process], None] = lambda _: None
        self.folder = str(folder)
        start: Any = self._start
        self.bench = Bench(self.station, start, self.events, lambda: today)

    def _start(self) -> Process:
        process = Process(self.log, len(self.processes) + 1)
        self.prepare(process)
        self.processes.append(process)
        return process

    def lock(self, recipe: str) -> Callable[[str, threading.Event | None], bool]:
        def hold(name: str, stop: threading.Event | None) -> bool:
            if name not in self.bench.held:
                got = locks.acquire([name], run="r", step=recipe, folder=self.folder, stop=stop)
                if got is None:
                    return False
                self.bench.claim(recipe, [name], got)
            self.bench.claim(recipe, [name])
            return True

        return hold

    def send(self, recipe: str, name: str, command: str, ending: Ending = NEVER) -> Any:
        do: Operation = "query" if command.endswith("?") else "write"
        request = InstrumentRequest(name=name, do=do, command=command)
        return self.bench.execute(request, recipe, self.lock(recipe), ending)

    def is_free(self, name: str) -> bool:
        stop = threading.Event()
        stop.set()
        got = locks.acquire([name], run="other", step="x", folder=self.folder, stop=stop)
        if got is not None:
            got.release()
        return got is not None


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def test_the_first_use_identifies_records_and_initialises_an_instrument(setup: Setup) -> None:
    setup.send("a.yaml", "psu", "VOLT 5")
    setup.send("a.yaml", "psu", "VOLT 6")

    assert setup.log == [
        "psu: open",
        "psu: *IDN?",
        "psu opened by a.yaml: ACME,PSU,1,2",
        "psu: *RST",
        "psu: VOLT 5",
        "psu: VOLT 6",
    ]
    assert not setup.is_free("psu")


def test_another_instrument_at_the_address_is_refused_before_anything_changes_it(
    setup: Setup,
) -> None:
    setup.prepare = lambda process: process.answers.update({"*IDN?": "ACME,LOAD,7\n"})

    with pytest.raises(InstrumentError) as caught:
        setup.send("a.yaml", "psu", "VOLT 5")

    assert str(caught.value) == (
        "psu: *IDN? is answered by 'ACME,LOAD,7', station.yaml:5 expects 'ACME,PSU'"
    )
    assert caught.value.kind == "refused"
    assert setup.log == ["psu: open", "psu: *IDN?", "psu: close"]
    assert setup.bench.release("a.yaml") == []
    assert setup.is_free("psu")


def test_an_instrument_without_identity_is_used_if_the_station_expects_none(setup: Setup) -> None:
    setup.prepare = lambda process: process.answers.clear()

    setup.send("a.yaml", "meter", "RANG 10")

    assert setup.log == [
        "meter: open",
        "meter: *IDN?",
        "meter opened by a.yaml: -",
        "meter: RANG 10",
    ]


def test_an_unknown_instrument_is_refused_with_the_nearest_name(setup: Setup) -> None:
    with pytest.raises(InstrumentError) as caught:
        setup.send("a.yaml", "psy", "VOLT 5")

    assert str(caught.value) == "station.yaml has no instrument 'psy' (did you mean 'psu'?)"


def test_a_use_that_cannot_be_recorded_sends_no_command(setup: Setup) -> None:
    setup.events.error = JournalError("the disk is full")

    with pytest.raises(InstrumentError) as caught:
        setup.send("a.yaml", "psu", "VOLT 5")

    assert str(caught.value) == "psu: the disk is full"
    assert setup.log == ["psu: open", "psu: *IDN?", "psu: close"]


def test_commands_of_init_that_have_failed_are_sent_again_at_the_next_use(tmp_path: Path) -> None:
    setup = Setup(tmp_path, STATION.replace('["*RST"]', '["*RST", "*OPC?", "*CLS"]'))
    setup.prepare = lambda process: setattr(process, "lost", "*OPC?")
    with pytest.raises(InstrumentError, match=r"the connection was lost at '\*OPC\?'"):
        setup.send("a.yaml", "psu", "VOLT 5")
    setup.processes[0].lost = ""
    del setup.log[:]

    setup.send("a.yaml", "psu", "VOLT 5")

    sent = ["open", "*IDN?", "*RST", "*OPC?", "*CLS", "VOLT 5"]
    assert setup.log == [f"psu: {each}" for each in sent]
    assert [each.reason for each in setup.bench.release("a.yaml")] == [""]


def test_the_end_of_a_recipe_makes_its_instruments_safe_the_last_used_first(setup: Setup) -> None:
    setup.send("a.yaml", "psu", "VOLT 5")
    setup.send("a.yaml", "load", "CURR 1")
    setup.send("a.yaml", "meter", "RANG 10")
    setup.send("a.yaml", "psu", "OUTP ON")
    del setup.log[:]

    results = setup.bench.release("a.yaml")

    assert setup.log == [
        "psu: renew",
        "psu: OUTP OFF",
        "psu: VOLT 0",
        "psu: *OPC?",
        "psu: SYST:ERR?",
        "psu: close",
        "meter: close",
        "load: renew",
        "load: INP OFF",
        "load: *OPC?",
        "load: SYST:ERR?",
        "load: close",
        "process 1 closed",
    ]
    assert [(each.instrument, each.reason) for each in results] == [
        ("psu", ""),
        ("meter", ""),
        ("load", ""),
    ]
    assert [each.confirmation for each in results] == ["confirmed", "", "confirmed"]
    assert results[0].transcript == ("> OUTP OFF", "> VOLT 0", *CONFIRMED)
    assert setup.events.safe == results
    assert all(map(setup.is_free, ("psu", "load", "meter")))
    assert setup.bench.release("a.yaml") == []


def test_an_instrument_stays_in_use_for_later_recipes_that_name_it_or_need_its_recipe(
    setup: Setup,
) -> None:
    setup.send("a.yaml", "psu", "OUTP ON")
    setup.send("a.yaml", "load", "INP ON")

    kept = Kept(instruments={"load"}, recipes={"a.yaml"})
    assert setup.bench.release("a.yaml", kept) == []
    assert not setup.is_free("psu")
    setup.send("b.yaml", "load", "CURR 2")
    assert [each.instrument for each in setup.bench.release("b.yaml", Kept({"load"}))] == ["psu"]
    assert setup.is_free("psu")
    assert not setup.is_free("load")
    assert [each.instrument for each in setup.bench.release("c.yaml")] == ["load"]
    assert setup.is_free("load")
    assert setup.log.count("load: INP OFF") == 1
    assert setup.log.count("psu: *RST") == 1


def test_the_use_by_a_recipe_that_still_runs_does_not_end_with_another_one(setup: Setup) -> None:
    setup.send("a.yaml", "psu", "OUTP ON")

    assert setup.bench.release("b.yaml") == []
    assert not setup.is_free("psu")


def test_a_lost_process_is_started_again_without_initialising_its_instruments(
    setup: Setup,
) -> None:
    setup.prepare = lambda process: setattr(process, "ends_at", "MEAS?")
    setup.send("a.yaml", "psu", "VOLT 5")
    with pytest.raises(InstrumentError, match="psu: the instrument process ended"):
        setup.send("a.yaml", "psu", "MEAS?")
    del setup.log[:]

    setup.send("a.yaml", "psu", "VOLT 6")

    assert setup.log == ["process 1 closed", "psu: open", "psu: *IDN?", "psu: VOLT 6"]


def test_a_lost_connection_is_opened_again_and_the_instrument_identified(setup: Setup) -> None:
    setup.send("a.yaml", "psu", "VOLT 5")
    setup.processes[0].lost = "MEAS?"
    with pytest.raises(InstrumentError, match="psu: the connection was lost"):
        setup.send("a.yaml", "psu", "MEAS?")
    del setup.log[:]

    setup.send("a.yaml", "psu", "VOLT 6")

    assert setup.log == ["psu: open", "psu: *IDN?", "psu: VOLT 6"]


def test_a_safe_state_is_tried_again_in_a_new_session(setup: Setup) -> None:
    setup.send("a.yaml", "psu", "VOLT 5")
    setup.processes[0].ends_at = "VOLT 0"

    (result,) = setup.bench.release("a.yaml")

    assert result.reason == ""
    assert result.transcript == (
        "> OUTP OFF",
        "> VOLT 0",
        "error: psu: the instrument process ended",
        "> OUTP OFF",
        "> VOLT 0",
        *CONFIRMED,
    )
    assert setup.log[-1] == "process 2 closed"


def test_a_safe_state_that_cannot_be_reached_is_reported_and_frees_the_lock(setup: Setup) -> None:
    setup.prepare = lambda process: setattr(process, "ends_at", "OUTP OFF")
    setup.send("a.yaml", "psu", "VOLT 5")

    (result,) = setup.bench.release("a.yaml")

    assert result.reason == "psu: the instrument process ended"
    assert setup.events.safe == [result]
    assert setup.is_free("psu")


def test_a_safe_state_that_ctrl_c_cuts_off_is_reached_by_the_next_release(setup: Setup) -> None:
    setup.send("a.yaml", "psu", "VOLT 5")
    process = setup.processes[0]
    submit = process.submit

    def interrupted(request: dict[str, Any], author: object) -> InterruptibleFuture:
        if request.get("command") == "VOLT 0":
            raise KeyboardInterrupt
        return submit(request, author)

    process.submit = interrupted  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        setup.bench.release("a.yaml")
    assert not setup.is_free("psu")
    process.submit = submit  # type: ignore[method-assign]

    (result,) = setup.bench.release("a.yaml")

    assert (result.reason, setup.log[-4:-1]) == (
        "",
        ["psu: *OPC?", "psu: SYST:ERR?", "psu: close"],
    )
    assert setup.is_free("psu")


@pytest.mark.parametrize("requires", [False, True])
def test_an_overdue_calibration_is_a_warning_or_an_error(tmp_path: Path, requires: bool) -> None:
    due = STATION.replace("    lock: meter", "    lock: meter\n    due: 2026-05-01")
    text = due + f"require_calibrated: {str(requires).lower()}\n"
    setup = Setup(tmp_path, text, date(2026, 5, 3))

    if not requires:
        setup.send("a.yaml", "meter", "RANG 10")
        return
    with pytest.raises(InstrumentError) as caught:
        setup.send("a.yaml", "meter", "RANG 10")
    assert str(caught.value) == (
        "calibration of 'meter' was due on 2026-05-01 (2 days ago), and station.yaml requires a "
        "valid one"
    )
    assert setup.log == []


def test_the_end_of_a_step_ends_its_wait_for_an_answer(setup: Setup) -> None:
    setup.prepare = lambda process: setattr(process, "silent", "MEAS?")
    setup.send("a.yaml", "psu", "VOLT 5")
    lane, far = socket.socketpair()
    with lane, far:
        timer = threading.Timer(0.05, far.send, (b"ended",))
        timer.start()
        with pytest.raises(StepOver):
            setup.send("a.yaml", "psu", "MEAS?", LaneEnding(lane, None))
        timer.join()

    assert setup.log[-1] == "psu: interrupt"


def test_a_step_that_ends_does_not_wait_until_another_one_has_opened_the_instrument(
    setup: Setup,
) -> None:
    opening, may_go_on = threading.Event(), threading.Event()

    def hold() -> None:
        opening.set()
        may_go_on.wait(PATIENCE)

    setup.events.then = hold
    lane, far = socket.socketpair()
    with lane, far, ThreadPoolExecutor(1) as pool:
        first = pool.submit(setup.send, "a.yaml", "psu", "VOLT 5")
        assert opening.wait(PATIENCE)
        far.send(b"ended")
        with pytest.raises(StepOver):
            setup.send("a.yaml", "psu", "VOLT 6", LaneEnding(lane, None))
        may_go_on.set()
        first.result(PATIENCE)

    assert "psu: VOLT 6" not in setup.log


def test_a_service_that_still_runs_does_not_undo_the_safe_state(setup: Setup) -> None:
    access = RecipeInstruments(setup.bench, "a.yaml", setup.lock("a.yaml"))
    on = {"name": "psu", "do": "write", "command": "OUTP ON"}
    lane, far = socket.socketpair()
    with lane, far:
        assert access.reply(on, LaneEnding(lane, None)) == {"value": None}
        assert setup.log[-1] == "psu: OUTP ON"
        access.over.set()
        ended: list[bool] = []

        def end() -> None:
            ended.append(True)
            far.send(b"ended")

        timer = threading.Timer(0.05, end)
        timer.start()
        access.reply(on, LaneEnding(lane, None))
        assert ended
        timer.join()

    assert setup.log.count("psu: OUTP ON") == 1


def test_a_request_on_its_way_is_not_sent_after_the_end_of_the_use(setup: Setup) -> None:
    setup.events.then = lambda: setup.bench.release("a.yaml")

    with pytest.raises(StepOver):
        setup.send("a.yaml", "psu", "OUTP ON")

    assert "psu: *RST" not in setup.log
    assert "psu: OUTP ON" not in setup.log


class CtrlC(Ending):
    """The end of a step that the operator interrupts while it waits for an answer."""

    def wait_for(self, answer: InterruptibleFuture, deadline: float) -> bool:
        if answer.done():
            return True
        raise KeyboardInterrupt


@pytest.mark.parametrize("can_interrupt", [True, False])
def test_ctrl_c_ends_the_wait_for_an_answer(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, can_interrupt: bool
) -> None:
    monkeypatch.setattr("pytest_orchestrator.execution.instruments.bench._DROPPED", 0.01)
    setup.prepare = lambda process: setattr(process, "silent", "MEAS?")
    setup.send("a.yaml", "psu", "VOLT 5")
    with pytest.raises(KeyboardInterrupt):
        setup.send("a.yaml", "psu", "MEAS?", CtrlC())
    assert setup.log[-1] == "psu: interrupt"
    if can_interrupt:
        setup.processes[0].pending.pop().set_exception(InstrumentError("psu: interrupted"))
    del setup.log[:]

    setup.send("a.yaml", "psu", "VOLT 0")

    again = [] if can_interrupt else ["process 1 closed", "psu: open", "psu: *IDN?"]
    assert setup.log == [*again, "psu: VOLT 0"]


@pytest.mark.parametrize("is_inline", [True, False])
def test_an_instrument_process_that_does_not_answer_is_ended(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, is_inline: bool
) -> None:
    monkeypatch.setattr("pytest_orchestrator.execution.instruments.bench._MARGIN", -1.95)
    setup.prepare = lambda process: setattr(process, "silent", "MEAS?")
    setup.send("a.yaml", "psu", "VOLT 5")
    lane, far = socket.socketpair()

    with lane, far, pytest.raises(InstrumentError, match="psu: the process was ended"):
        setup.send("a.yaml", "psu", "MEAS?", NEVER if is_inline else LaneEnding(lane, None))

    assert setup.log[-1] == "process 1 closed"


def test_a_lock_that_cannot_be_taken_refuses_the_instrument(setup: Setup) -> None:
    def lock(name: str, _: threading.Event | None) -> bool:
        raise LockError(f"lock '{name}' is taken")

    access = RecipeInstruments(setup.bench, "a.yaml", lock)
    with pytest.raises(InstrumentError) as caught:
        access.opener("psu").write("VOLT 5")
    assert str(caught.value) == "psu: lock 'psu' is taken"


def test_the_error_without_a_station_file_names_its_place() -> None:
    assert no_access({"name": "psu", "do": "open"}) == {
        "error": "psu: there is no station file here (station.yaml, or --recipe-station); steps "
        "on workers of Dask have none either",
        "kind": "refused",
        "instrument": "psu",
        "command": "",
    }
