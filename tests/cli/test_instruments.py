"""`pytest-orchestrator instruments`: the list of a station, and commands to one instrument."""

import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest

from pytest_orchestrator.cli.verbs import instruments
from pytest_orchestrator.core.events import InstrumentOpened
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.instrument import InstrumentError
from tests.cli.conftest import Project
from tests.instruments import IDN, POWER_SUPPLY, SIMULATED, ScpiInstrument
from tests.runs.built import Runs

NOT_MINE: dict[str, Any] = {"run": "20261125T101502Z-7f3a", "step": "recipes/sweep.yaml"}


@pytest.fixture
def psu() -> Iterator[ScpiInstrument]:
    with ScpiInstrument() as server:
        yield server


@pytest.fixture
def bench(project: Project, psu: ScpiInstrument) -> Project:
    """A station whose supply has a lock of its own, which no other test uses."""
    project.write(
        "station.yaml",
        f"""
        name: bench-3
        instruments:
          psu:
            resource: {psu.resource}
            timeout: 30s
            init: ["*RST"]
            safe: [OUTP OFF]
            lock: {project.path}
            due: 2001-05-01
        """,
    )
    return project


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def assert_free(bench: Project, psu: ScpiInstrument) -> None:
    """Check that no connection is open and that the lock of the supply is free."""
    psu.wait_until_closed()
    stop = threading.Event()
    stop.set()
    acquired = locks.acquire([str(bench.path)], run="r", step="s", stop=stop)
    assert acquired is not None
    acquired.release()


@pytest.mark.measured
def test_the_list_shows_each_instrument_that_answers_and_the_reasons_of_the_others(
    bench: Project, psu: ScpiInstrument
) -> None:
    own = bench.write("station.yaml", (bench.path / "station.yaml").read_text())
    closed_port, sim = free_port(), f"resource: {SIMULATED}, backend: {POWER_SUPPLY}@sim"
    own.write_text(
        f"{own.read_text()}"
        f"  off: {{resource: 'TCPIP0::127.0.0.1::{closed_port}::SOCKET'}}\n"
        f"  other: {{{sim}, idn: FLUKE}}\n"
        f"  silent: {{resource: ASRL1::INSTR, backend: {POWER_SUPPLY}@sim, timeout: 10ms,"
        " write_termination: X}\n"
        f"  used: {{resource: 'TCPIP0::127.0.0.1::{psu.port}::SOCKET', lock: {bench.path}/used}}\n"
    )
    held = locks.acquire([f"{bench.path}/used"], **NOT_MINE)
    assert held is not None
    with held:
        found = bench.call("instruments", "--json")
        assert (psu.texts, psu.connections) == (["*IDN?"], 1)
        forced = bench.call("instruments", "--json", "--force")

    (rows, station) = (json.loads(found.out)[name] for name in ("instruments", "station"))
    assert (station["name"], station["path"], found.code) == ("bench-3", "station.yaml", 1)
    each = {row["name"]: row for row in rows}
    assert {name: (row["state"], row["reachable"], row["idn"]) for name, row in each.items()} == {
        "psu": ("reachable", True, IDN),
        "off": ("unreachable", False, ""),
        "other": ("other", True, IDN),
        "silent": ("unreachable", False, ""),
        "used": ("in use", None, ""),
    }
    assert each["off"]["reason"] == (
        f"cannot open TCPIP0::127.0.0.1::{closed_port}::SOCKET: connection refused"
    )
    assert (
        each["other"]["reason"] == f"*IDN? is answered by '{IDN}', station.yaml:11 expects 'FLUKE'"
    )
    assert each["silent"]["reason"] == (
        "no answer to '*IDN?' within 0.01 s; "
        'write idn: "" in the station file if it has no identity'
    )
    owner = each["used"]["held_by"]
    since = owner.pop("since")
    assert since.endswith("+00:00")
    user = f"{owner.pop('user')}@{owner.pop('host')}"
    assert owner == {"pid": os.getpid(), **NOT_MINE}
    assert each["used"]["reason"] == (
        f"recipes/sweep.yaml has held its lock for 0 s (pid {os.getpid()}, {user}, "
        "run 20261125T101502Z-7f3a)"
    )
    assert json.loads(forced.out)["instruments"][4]["idn"] == IDN
    assert_free(bench, psu)


@pytest.mark.measured
def test_query_sends_commands_and_prints_the_answers_alone(
    bench: Project, psu: ScpiInstrument
) -> None:
    done = bench.call("instruments", "query", "psu", "VOLT 5", "OUTP ON", "MEAS:VOLT?")

    assert done == (0, "+5.0000E+00\n", "")
    assert psu.texts == ["VOLT 5", "OUTP ON", "MEAS:VOLT?"]
    assert_free(bench, psu)


def test_query_fails_at_the_first_command_that_is_not_answered(
    bench: Project, psu: ScpiInstrument
) -> None:
    words = ["psu", "VOLT?", "NO?", "OUTP ON", "--timeout", "50ms"]
    done = bench.call("instruments", "query", *words)

    assert done == (1, "0.000\n", "psu: no answer to 'NO?' within 0.05 s\n")
    assert psu.texts == ["VOLT?", "NO?"]
    assert_free(bench, psu)


def test_query_refuses_an_instrument_that_is_not_the_expected_one(
    bench: Project, psu: ScpiInstrument
) -> None:
    path = bench.path / "station.yaml"
    path.write_text(path.read_text().replace("init:", "idn: FLUKE\n    init:"))
    done = bench.call("instruments", "query", "psu", "OUTP ON")

    assert done == (
        1,
        "",
        f"psu: *IDN? is answered by '{IDN}', station.yaml:6 expects 'FLUKE'\n",
    )
    assert psu.texts == ["*IDN?"]


class HangingProcess:
    """Instrument process that answers nothing."""

    pid, has_ended = 7, False

    def __init__(self) -> None:
        self.times_closed = 0

    def submit(self, request: dict[str, Any], author: object) -> InterruptibleFuture:
        return InterruptibleFuture()

    def close(self, grace: float) -> None:
        self.times_closed += 1


def test_a_process_that_hangs_is_ended_when_the_time_is_over(
    bench: Project, psu: ScpiInstrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = HangingProcess()
    monkeypatch.setattr(instruments, "_MARGIN", 0.0)
    monkeypatch.setattr(instruments, "_starter", lambda: nullcontext(lambda: hanging))

    listed = bench.call("instruments", "--json", "--timeout", "10ms")
    asked = bench.call("instruments", "query", "psu", "VOLT 5", "--timeout", "10ms")

    [row] = json.loads(listed.out)["instruments"]
    late = "it was not reached within 0.01 s"
    assert (listed.code, row["state"], row["reason"]) == (1, "unreachable", late)
    assert asked == (1, "", f"psu: {late}\n")
    assert hanging.times_closed == 2
    assert_free(bench, psu)


def test_a_process_that_cannot_be_started_is_the_reason_of_all_instruments(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = "the instrument process cannot be started: no memory"

    def start() -> None:
        raise InstrumentError(reason)

    monkeypatch.setattr(instruments, "_starter", lambda: nullcontext(start))
    listed = bench.call("instruments", "--json")

    [row] = json.loads(listed.out)["instruments"]
    assert (listed.code, row["state"], row["reason"]) == (1, "unreachable", reason)


def test_query_of_a_locked_instrument_names_the_holder_and_waits_only_with_wait(
    bench: Project, psu: ScpiInstrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = str(bench.path)
    held = locks.acquire([lock], **NOT_MINE)
    assert held is not None
    paused = locks.paused

    def released(*arguments: Any) -> bool:
        """Release the lock at the first pause of the wait, after its report."""
        held.release()
        return paused(*arguments)

    with held:
        refused = bench.call("instruments", "query", "psu", "VOLT?")
        assert psu.connections == 0
        monkeypatch.setattr(locks, "paused", released)
        waited = bench.call("instruments", "query", "psu", "VOLT?", "--wait")

    head = "recipes/sweep.yaml has held its lock for 0 s (pid "
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith(f"psu: {head}{os.getpid()}, ")
    assert refused.err.endswith("; --wait waits for it\n")
    assert (waited.code, waited.out) == (0, "0.000\n")
    assert waited.err.startswith(
        f"pytest-orchestrator instruments query psu waits for lock '{lock}': recipes/sweep.yaml "
    )


def test_the_table_fits_into_80_columns_and_names_overdue_calibrations_and_owed_safe_states(
    bench: Project, psu: ScpiInstrument, runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = runs.new("recipes/sweep.yaml").begin("ramp")
    opened: dict[str, Any] = {"instrument": "psu", "resource": psu.resource, "has_safe_state": True}
    killed.add(InstrumentOpened(recipe="recipes/sweep.yaml", **opened))
    run = killed.cut().name
    monkeypatch.setenv("COLUMNS", "80")
    table = bench.call("instruments")
    path = bench.path / "station.yaml"
    path.write_text(f"require_calibrated: true\n{path.read_text()}")
    strict = bench.call("instruments", "--json")

    head, *lines, owed, more = table.out.splitlines()
    assert (table.code, strict.code) == (0, 1)
    assert head.split() == ["instrument", "state", "resource", "due", "identity,", "or", "reason"]
    assert lines[0].split()[:5:3] == ["psu", "2001-05-01"]
    reason = " ".join([lines[0].split()[-1], *map(str.strip, lines[1:])])
    assert reason.startswith(f"{IDN}; calibration of 'psu' was due on 2001-05-01 (")
    assert max(map(len, table.out.splitlines())) <= 80
    assert f"{owed} {more.strip()}" == (
        f"run {run} has not made psu safe: its safe state is owed, "
        "the next session that uses instruments sends it"
    )
    found = json.loads(strict.out)
    assert found["instruments"][0]["owed"] == run
    assert found["debts"] == [
        {
            "run": run,
            "recipe": "recipes/sweep.yaml",
            "instrument": "psu",
            "name": "psu",
            "resource": psu.resource,
            "backend": "",
            "simulation": "",
            "safe": [],
        }
    ]


def debts(bench: Project) -> list[dict[str, Any]]:
    """Return the debts that `instruments` lists."""
    listed: list[dict[str, Any]] = json.loads(bench.call("instruments", "--json").out)["debts"]
    return listed


def test_an_instrument_pays_for_no_other_one_that_had_its_name(
    bench: Project, psu: ScpiInstrument, runs: Runs
) -> None:
    run = run_in_debt(runs, psu)
    simulated = POWER_SUPPLY.read_text().replace(SIMULATED, psu.resource)
    path = bench.write("sim.yaml", simulated)
    keys = f"resource: '{psu.resource}', backend: {path}@sim, safe: [OUTP 0]"
    bench.write("station.yaml", f"instruments: {{psu: {{{keys}}}}}")
    psu.close()

    paid = bench.call("instruments", "safe", "psu")

    assert (paid.code, paid.out) == (1, "psu is in its safe state\n")
    assert paid.err == (
        f"station.yaml has no instrument with a safe state at {psu.resource}, so the one that run "
        f"{run} owes cannot be reached; write it into the station file again, or drop the debt: "
        "pytest-orchestrator instruments forgive psu --reason TEXT\n"
    )
    assert [one["run"] for one in debts(bench)] == [run]


@pytest.mark.measured
def test_a_query_makes_one_debt_that_safe_pays(bench: Project, psu: ScpiInstrument) -> None:
    for _ in range(2):
        assert bench.call("instruments", "query", "psu", "OUTP ON").code == 0
    [debt] = debts(bench)
    assert (debt["recipe"], debt["safe"]) == ("pytest-orchestrator instruments query", ["OUTP OFF"])
    run = debt["run"]
    path = bench.path / "station.yaml"
    path.write_text(path.read_text().replace("  psu:", "  supply:"))
    renamed = bench.call("instruments")
    assert " ".join(renamed.out.split()).endswith(
        f"run {run} has not made psu (supply in station.yaml) safe: its safe state is owed, the "
        "next session that uses instruments sends it"
    )

    psu.refused.add("OUTP OFF")
    failed = bench.call("instruments", "safe", "supply")
    psu.behave()
    psu.errors.clear()
    paid = bench.call("instruments", "safe", "psu")

    assert (failed.code, failed.out) == (1, "")
    assert failed.err.splitlines()[-1].startswith("supply is not in its safe state: ")
    assert paid == (
        0,
        f"psu is in its safe state\npaid: the safe state of psu that run {run} owed\n",
        "",
    )
    assert (psu.is_on, debts(bench)) == (False, [])
    again = bench.call("instruments", "safe", "supply")
    assert again == (0, "supply is in its safe state\n", "")
    assert_free(bench, psu)


def test_safe_says_that_an_instrument_cannot_confirm(bench: Project, psu: ScpiInstrument) -> None:
    path = bench.path / "station.yaml"
    path.write_text(path.read_text().replace("init:", "confirm: none\n    init:"))
    bench.call("instruments", "query", "psu", "OUTP ON")
    [debt] = debts(bench)

    done = bench.call("instruments", "safe", "psu")

    sent = "sent, not confirmed"
    owed = f"paid: the safe state of psu that run {debt['run']} owed"
    assert done == (0, f"the safe state of psu: {sent}\n{owed}\n", "")


def test_a_debt_is_dropped_by_hand_with_a_reason(
    bench: Project, psu: ScpiInstrument, runs: Runs
) -> None:
    run = run_in_debt(runs, psu)
    (bench.path / "station.yaml").write_text("name: bench-3")
    gone = f"station.yaml has no instrument with a safe state at {psu.resource}, so the one that "
    gone += f"run {run} owes cannot be reached; write it into the station file again, or drop the "
    gone += "debt: pytest-orchestrator instruments forgive psu --reason TEXT"
    refused = bench.call("instruments", "safe", "psu")
    listed = bench.call("instruments")
    unknown = bench.call("instruments", "forgive", "pus", "--reason", "scrapped")
    empty = bench.call("instruments", "forgive", "psu", "--reason", " ")
    (bench.path / "station.yaml").unlink()
    without = bench.call("instruments")

    dropped = bench.call("instruments", "forgive", "psu", "--reason", "scrapped")
    twice = bench.call("instruments", "forgive", "psu", "--reason", "scrapped")

    assert (refused.code, refused.err.partition("error: ")[2]) == (2, f"{gone}\n")
    assert " ".join(listed.out.split()) == f"station.yaml has no instruments {gone}"
    assert unknown.err.endswith("error: no safe state of 'pus' is owed (did you mean 'psu'?)\n")
    assert empty.err.endswith("error: --reason is empty; say why, for the journal\n")
    assert (without.code, without.out) == (2, f"{gone.replace('station.yaml', 'the project', 1)}\n")
    assert dropped == (0, f"dropped: the safe state of psu that run {run} owed\n", "")
    assert twice.code == 2
    [journal] = bench.path.glob(".orchestrator/instruments/*T*/journal.jsonl")
    event = json.loads(journal.read_text().splitlines()[1])
    assert (event["event"], event["run"], event["reason"]) == ("debt_forgiven", run, "scrapped")
    assert bench.call("verify", str(journal.parent)).code == 0


def run_in_debt(runs: Runs, psu: ScpiInstrument) -> str:
    """Write a killed run that owes a safe state and a finally step; return its id."""
    killed = runs.new("recipes/sweep.yaml").begin("ramp", "off", final="yes")
    killed.start("ramp")
    opened: dict[str, Any] = {"instrument": "psu", "resource": psu.resource, "backend": "@py"}
    opened |= {"has_safe_state": True, "safe": ("OUTP OFF",)}
    killed.add(InstrumentOpened(recipe="recipes/sweep.yaml", **opened))
    return killed.cut().name


def test_all_debts_of_a_run_are_dropped_by_its_id(
    bench: Project, psu: ScpiInstrument, runs: Runs
) -> None:
    run = run_in_debt(runs, psu)
    runs.new("recipes/b.yaml").begin("one").cut()

    pruned = bench.call("runs", "prune", "--keep", "1", "--dry-run")
    dropped = bench.call("runs", "forgive", run[:-1], "--reason", "off by hand")
    nothing = bench.call("runs", "forgive", run, "--reason", "off by hand")
    missing = bench.call("runs", "forgive", "x", "--reason", "off by hand")
    after = bench.call("runs", "prune", "--keep", "1", "--dry-run")

    stays = f"the journal of run {run} stays: safe states or `finally` steps are owed\n"
    assert pruned.out == f"would delete 0 runs, keeping the newest 1\n{stays}"
    assert dropped.out.splitlines() == [
        f"dropped: the safe state of psu that run {run} owed",
        f"dropped: `finally` of recipes/sweep.yaml (ramp, off) that run {run} owed",
    ]
    assert nothing.err.endswith(f"error: run {run} owes no safe state and no `finally`\n")
    assert "error: no run 'x'" in missing.err
    assert after.out.endswith("would delete 1 run, keeping the newest 1\n")
    assert debts(bench) == []


def test_a_debt_in_a_damaged_journal_is_dropped_by_the_id_of_its_run(
    bench: Project, psu: ScpiInstrument, runs: Runs
) -> None:
    run = run_in_debt(runs, psu)
    journal = next(bench.path.rglob(f"{run}/journal.jsonl"))
    begin, *rest = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(begin + b'{"garbage\n' + b"".join(rest))

    dropped, again = (
        bench.call("runs", "forgive", run, "--reason", "off by hand") for _ in range(2)
    )

    assert dropped.out == f"dropped: all that the damaged journal of run {run} may hide\n"
    assert again.err.endswith(f"error: run {run} owes no safe state and no `finally`\n")


def test_a_command_without_a_station_or_with_a_wrong_one_says_what_to_do(project: Project) -> None:
    nothing = project.call("instruments")
    missing = project.call("instruments", "query", "psu", "*IDN?", "--recipe-station", "bench.yaml")
    project.write("station.yaml", "instruments:\n  psu: {resorce: TCPIP::psu::INSTR}\n")
    broken = project.call("instruments")
    project.write("station.yaml", "instruments: {psu: {resource: TCPIP::psu::INSTR}}\n")
    unknown = project.call("instruments", "query", "pus", "*IDN?")
    wrong = project.call("instruments", "--timeout", "soon")

    assert (nothing.code, nothing.out) == (2, "")
    assert nothing.err.endswith(
        f"instruments: error: there is no station file: write {project.path}/station.yaml, "
        "or name one with --recipe-station FILE\n"
    )
    assert missing.code == 2
    assert missing.err.endswith("error: --recipe-station: there is no file 'bench.yaml'\n")
    assert (broken.code, broken.out) == (1, "")
    assert broken.err.startswith(
        "station.yaml:2:9: unknown key 'resorce' in 'instruments.psu' (did you mean 'resource'?)\n"
    )
    assert unknown.code == 2
    assert unknown.err.endswith(
        "query: error: station.yaml has no instrument 'pus' (did you mean 'psu'?)\n"
    )
    assert wrong.err.endswith(
        "argument --timeout: 'soon' should be seconds, or a text such as 500ms, 30s, 2m or 1h\n"
    )
