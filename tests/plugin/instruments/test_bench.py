"""Exchanges with instruments in the journal of a run."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_orchestrator.core.events import InstrumentExchange
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.plugin.instruments.bench import ExchangeRecord, record_of
from tests.plugin.instruments.conftest import Bench

CURVE = b"\x00\xff\x10"
STEPS = """
def ask(ctx, params, instrument):
    psu = instrument("psu")
    return {"status": "ok", "curve": len(psu.query_block("CURV?")), "amps": psu.query("MEAS:CURR?")}


def wait(ctx, params, instrument):
    try:
        instrument("load").query("NEVER?", timeout=0.2)
    except Exception as error:
        return {"status": "ok", "error": str(error)}
"""
TEST = """
def test_by_hand(instrument):
    assert instrument("psu").query("OUTP?") == "0"
"""
ASK = "type: python, module: more, function: {}"


def exchanges(bench: Bench) -> list[dict[str, Any]]:
    """Return the exchanges in the journal of the newest run."""
    runs = sorted((bench.project.path / ".orchestrator/runs").glob("*/journal.jsonl"))
    lines = [json.loads(line) for line in runs[-1].read_text().splitlines()]
    return [one for one in lines if one["event"] == "instrument_exchange"]


def by(found: list[dict[str, Any]], step: str) -> list[tuple[Any, ...]]:
    """Return the exchanges of a step, without those that open the instrument."""
    return [
        (one["instrument"], one["do"], one["command"], one.get("answer"))
        for one in found
        if one.get("step", "") == step and one["do"] != "open" and one["command"] != "*IDN?"
    ]


@pytest.mark.counted
@pytest.mark.parametrize("options", [(), ("-n1",)], ids=["serial", "xdist"])
def test_the_journal_has_the_exchanges_of_all_users(bench: Bench, options: tuple[str, ...]) -> None:
    header = b"#1%d" % len(CURVE)
    bench.psu.answers["CURV?"] = header + CURVE + b"\n"
    bench.load.answers["NEVER?"] = None
    bench.project.write("more.py", STEPS)
    bench.project.write("test_a.py", TEST)
    bench.project.recipe(
        "a",
        {
            "inline": f"{ASK.format('ask')}, isolation: inline",
            "forked": ASK.format("ask"),
            "late": ASK.format("wait"),
            "each": "type: scpi, instrument: psu, commands: ['VOLT ${{ item }}'], "
            "foreach: [1, 2], check_errors: false",
        },
        head="sampling: {amps: {query: 'MEAS:CURR?', instrument: psu, every: 10ms}}",
    )

    result = bench.project.run(*options)

    result.assert_outcomes(passed=5)
    found = exchanges(bench)
    asked = [("psu", "block", "CURV?", None), ("psu", "query", "MEAS:CURR?", "+0.0000E+00")]
    assert by(found, "inline") == by(found, "forked") == asked
    volts = [one for one in found if one.get("step") == "each" and one["do"] == "write"]
    assert [(one["command"], one["element"]) for one in volts] == [("VOLT 1", 0), ("VOLT 2", 1)]
    assert ("psu", "query", "MEAS:CURR?", "+0.0000E+00") in by(found, "amps")
    assert by(found, "test_by_hand") == [("psu", "query", "OUTP?", "0")]
    [late] = [one for one in found if one.get("command") == "NEVER?"]
    assert (late["step"], late["kind"]) == ("late", "timeout")
    assert late["error"].startswith("load: no answer to 'NEVER?' within 0.2 s")
    assert ("psu", "write", "OUTP OFF", None) in by(found, "")
    assert {one.get("worker", "main") for one in found} == {"gw0" if options else "main"}
    orders = [one["order"] for one in found]
    assert len({*orders}) == len(orders)

    path = f"artifacts/instruments/{hashlib.sha256(CURVE).hexdigest()}"
    assert {one["data"] for one in found if one.get("command") == "CURV?"} == {path}
    [run] = bench.project.path.glob(".orchestrator/runs/*T*")
    assert (run / path).read_bytes() == CURVE
    last = json.loads((run / "journal.jsonl").read_text().splitlines()[-1])
    assert path in last["files"]  # so it is in bundles as well


class Recorder(list[InstrumentExchange]):
    """Recorder of a session that only keeps the events."""


def record(folder: Path, most: int) -> tuple[ExchangeRecord, Recorder]:
    """Return a record that keeps its events in a list."""
    events, secrets = Recorder(), Masker(())
    secrets.add("0815")
    state: Any = SimpleNamespace(
        config=SimpleNamespace(),
        recorder=events,
        folder=SimpleNamespace(path=folder),
        masked=secrets.mask,
    )
    return ExchangeRecord(state, most), events


def exchange(command: str, answer: str | None = None) -> InstrumentExchange:
    return InstrumentExchange(
        recipe="a.yaml", instrument="psu", order=1, do="query", command=command, answer=answer
    )


def test_the_first_exchange_that_does_not_fit_is_marked_and_none_follows(tmp_path: Path) -> None:
    kept, events = record(tmp_path, 2000)

    kept.append(exchange("A?", "1"), None)
    kept.append(exchange("B?"), bytes(3000))
    kept.append(exchange("C?", "1"), None)

    assert [(one.command, one.answer, one.gap) for one in events] == [
        ("A?", "1", ""),
        ("", None, "cut"),
    ]
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(
    ("command", "answer", "data"),
    [("PASS 0815", None, b"\x01"), ("A?", "is 0815", None), ("A?", None, b"\xff0815\xff")],
    ids=["command", "answer", "bytes"],
)
def test_an_exchange_with_a_secret_is_marked_and_its_bytes_are_not_kept(
    tmp_path: Path, command: str, answer: str | None, data: bytes | None
) -> None:
    kept, events = record(tmp_path, 2000)

    kept.append(exchange(command, answer), data)

    [event] = events
    assert "0815" not in str(event)
    assert (event.gap, event.data) == ("masked", "")
    assert [*tmp_path.iterdir()] == []


def test_equal_bytes_are_kept_once(tmp_path: Path) -> None:
    kept, events = record(tmp_path, 2000)

    for _ in range(2):
        kept.append(exchange("CURV?"), CURVE)

    [path] = {one.data for one in events}
    assert (tmp_path / path).read_bytes() == CURVE


def test_a_process_has_one_record_for_the_bench_and_all_recipes(tmp_path: Path) -> None:
    state: Any = SimpleNamespace(config=SimpleNamespace(stash=pytest.Stash()))
    assert record_of(state) is record_of(state)
