"""Resource tracking: one log record a call, and an unchanged function."""

import asyncio
import inspect
import json
import logging
import threading
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_orchestrator.scriptlets.tracking import Heap, track_resources

MIB = 1 << 20


@pytest.fixture(autouse=True)
def _no_tracing_is_left() -> Iterator[None]:
    assert not tracemalloc.is_tracing()
    yield
    still = tracemalloc.is_tracing()
    tracemalloc.stop()
    assert not still


def figures(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [json.loads(record.getMessage()) for record in caplog.records]


@track_resources
def hold(size: int) -> bytes:
    """Hold some bytes, and temporarily more of them."""
    bytes(2 * size)
    return b"x" * size


class Bench:
    @track_resources()
    def measure(self, factor: int = 1) -> int:
        return 3 * factor

    @track_resources
    @classmethod
    def name(cls) -> str:
        return cls.__name__

    @staticmethod
    @track_resources
    def unit() -> str:
        return "mV"


def test_a_call_logs_one_record(caplog: pytest.LogCaptureFixture) -> None:
    kept = hold(MIB)

    (record,) = figures(caplog)
    assert list(record) == [
        "metric",
        "function",
        "seconds",
        "rss_delta",
        "heap_current",
        "heap_peak",
    ]
    assert (record["metric"], record["function"]) == ("resource_usage", "hold")
    assert 0 < record["seconds"] < 10
    assert isinstance(record["rss_delta"], int)
    assert abs(record["heap_current"] - len(kept)) < 100_000
    assert abs(record["heap_peak"] - 2 * MIB) < 100_000
    assert (caplog.records[0].levelno, caplog.records[0].name) == (logging.INFO, __name__)


def test_a_tracked_function_keeps_name_docstring_and_signature() -> None:
    assert hold.__name__ == "hold"
    assert (hold.__doc__ or "").startswith("Hold some bytes")
    assert list(inspect.signature(hold).parameters) == ["size"]


def test_methods_are_measured(caplog: pytest.LogCaptureFixture) -> None:
    assert (Bench().measure(factor=2), Bench.name(), Bench.unit()) == (6, "Bench", "mV")

    names = [record["function"] for record in figures(caplog)]
    assert names == ["measure", "name", "unit"]


def test_an_exception_propagates_and_is_measured(caplog: pytest.LogCaptureFixture) -> None:
    @track_resources
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError, match="x") as caught:
        fail()

    shown = [entry.name for entry in caught.traceback if not entry.ishidden(None)]
    assert shown == ["test_an_exception_propagates_and_is_measured", "fail"]
    assert len(figures(caplog)) == 1


def test_an_async_function_is_measured_to_its_end(caplog: pytest.LogCaptureFixture) -> None:
    @track_resources
    async def work() -> int:
        bytes(MIB)
        await asyncio.sleep(0)
        return 7

    assert asyncio.run(work()) == 7

    assert abs(figures(caplog)[0]["heap_peak"] - MIB) < 500_000


def test_a_logger_can_be_given(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("tests.tracking")
    logger.setLevel(logging.INFO)

    @track_resources(logger=logger)
    def work() -> int:
        return 1

    assert work() == 1
    assert [record.name for record in caplog.records] == ["tests.tracking"]


def test_a_function_without_a_module_leaves_the_root_logger_as_it_is(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before = [*logging.root.handlers]
    names: dict[str, Any] = {"track_resources": track_resources}
    exec("@track_resources\ndef measure(): return 1", names)

    assert names["measure"]() == 1
    assert [record.name for record in caplog.records] == ["measure"]
    assert logging.root.handlers == before


def test_nested_calls_each_have_their_own_peak(caplog: pytest.LogCaptureFixture) -> None:
    @track_resources
    def outer() -> None:
        bytes(4 * MIB)
        hold(MIB)

    outer()

    inner, whole = figures(caplog)
    assert abs(inner["heap_peak"] - 2 * MIB) < 100_000
    assert abs(whole["heap_peak"] - 4 * MIB) < 100_000


def test_tracemalloc_of_other_code_keeps_running_with_its_peak(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tracemalloc.start()
    bytes(8 * MIB)
    before = tracemalloc.get_traced_memory()[1]

    hold(MIB)

    assert tracemalloc.is_tracing()
    assert before <= tracemalloc.get_traced_memory()[1] < before + MIB
    assert figures(caplog)[0]["heap_peak"] < 3 * MIB
    tracemalloc.stop()


def test_heap_figures_are_none_if_other_code_stops_tracemalloc(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @track_resources
    def stop() -> None:
        tracemalloc.stop()

    stop()

    record = figures(caplog)[0]
    assert (record["heap_current"], record["heap_peak"]) == (None, None)


def test_memory_that_was_allocated_before_is_not_counted_when_it_is_freed() -> None:
    tracemalloc.start()
    earlier = [bytes(MIB)]
    heap = Heap()
    heap.start()
    earlier.clear()
    heap.stop()
    tracemalloc.stop()

    assert heap.current == 0


def test_a_second_measurement_does_not_lower_the_peak_of_the_first() -> None:
    first, second = Heap(), Heap()

    first.start()
    bytes(4 * MIB)
    second.start()
    bytes(MIB)
    first.stop()
    second.stop()

    assert abs((first.peak or 0) - 4 * MIB) < 100_000
    assert abs((second.peak or 0) - MIB) < 100_000


def test_threads_are_measured_at_the_same_time(caplog: pytest.LogCaptureFixture) -> None:
    barrier = threading.Barrier(16)

    def work() -> None:
        barrier.wait()
        for _ in range(10):
            hold(1000)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(figures(caplog)) == 160
