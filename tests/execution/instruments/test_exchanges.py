"""Exchanges with instruments that the bench reports to its listener."""

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.execution.instruments.bench import StepOver
from pytest_orchestrator.execution.instruments.use import LaneEnding, RecipeInstruments
from pytest_orchestrator.instrument import InstrumentError
from tests.execution.instruments.test_bench import Setup

_THREADS, _QUERIES = 4, 50


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def fields(setup: Setup, *names: str) -> list[tuple[Any, ...]]:
    """Return fields of all exchanges that were reported."""
    return [tuple(getattr(one, name) for name in names) for one in setup.events.exchanges]


def test_the_exchanges_of_a_use_are_reported_in_their_order_with_their_author(
    setup: Setup,
) -> None:
    access = RecipeInstruments(setup.bench, "a.yaml", setup.lock("a.yaml"))
    psu = access.used_by("on", 2, 3).opener("psu")
    psu.write("VOLT 5")
    access.used_by("off").opener("load").write_block("DATA ", b"\x00\x01")
    setup.bench.release("a.yaml")

    on, off = ("a.yaml", "on", 2, 3), ("a.yaml", "off", 1, None)
    bench = ("a.yaml", "", 1, None)
    names = "order", "do", "command", "answer", "recipe", "step", "attempt", "element"
    safe = [("query", "*OPC?", "1"), ("query", "SYST:ERR?", '0,"No error"')]
    sent = [
        (("open", "", None), on),
        (("query", "*IDN?", "ACME,PSU,1,2"), on),
        (("write", "*RST", None), on),
        (("write", "VOLT 5", None), on),
        (("open", "", None), off),
        (("query", "*IDN?", "ACME,PSU,1,2"), off),
        (("write_block", "DATA ", None), off),
        (("write", "INP OFF", None), bench),
        *((one, bench) for one in safe),
        (("write", "OUTP OFF", None), bench),
        (("write", "VOLT 0", None), bench),
        *((one, bench) for one in safe),
    ]
    orders = [order for (order,) in fields(setup, "order")]
    assert orders == sorted({*orders})
    assert fields(setup, *names[1:]) == [(*what, *who) for what, who in sent]
    assert [one for one in setup.events.data if one is not None] == [b"\x00\x01"]


def test_an_error_is_reported_with_its_kind(setup: Setup) -> None:
    setup.send("a.yaml", "psu", "VOLT 5")
    with pytest.raises(InstrumentError, match="no answer"):
        setup.send("a.yaml", "psu", "MEAS?")

    assert fields(setup, "command", "answer", "kind", "error")[-1] == (
        "MEAS?",
        None,
        "timeout",
        "psu: no answer to 'MEAS?' within 2 s",
    )


def test_a_query_whose_step_ends_before_the_answer_is_reported_as_interrupted(
    setup: Setup,
) -> None:
    setup.prepare = lambda process: setattr(process, "silent", "MEAS?")
    lane, process = socket.socketpair()
    process.close()
    setup.send("a.yaml", "psu", "VOLT 5")
    with lane, pytest.raises(StepOver):
        setup.send("a.yaml", "psu", "MEAS?", LaneEnding(lane, None))

    assert fields(setup, "command", "answer", "kind", "error")[-1] == (
        "MEAS?",
        None,
        "interrupted",
        "the step ended before the answer",
    )


def test_the_numbers_are_the_order_in_which_the_requests_of_all_threads_were_sent(
    setup: Setup,
) -> None:
    setup.send("a.yaml", "psu", "VOLT 5")
    barrier = threading.Barrier(_THREADS)

    def send(thread: int) -> None:
        barrier.wait()
        for number in range(_QUERIES):
            setup.send("a.yaml", "psu", f"VOLT {thread}.{number}")

    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(send, range(_THREADS)))

    ordered = sorted(setup.events.exchanges, key=lambda one: one.order)
    assert len({one.order for one in ordered}) == len(ordered) > _THREADS * _QUERIES
    sent = [line for line in setup.log if "opened by" not in line]
    assert [f"psu: {one.command or one.do}" for one in ordered] == sent
