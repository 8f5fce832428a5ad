"""Operations of sixteen threads that start at once are neither lost nor mixed."""

import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any

import pytest

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import ContextKeyError
from pytest_orchestrator.core.events import Change

THREADS = 16
ROUNDS = 200


@pytest.fixture(autouse=True)
def _switch_often() -> Any:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(THREADS)

    def begin(number: int) -> Any:
        barrier.wait()
        return work(number)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(begin, range(THREADS)))


def test_no_increment_is_lost() -> None:
    ctx = Context()

    sums = at_once(lambda _: [ctx.increment("n") for _ in range(ROUNDS)])

    assert ctx.get("n") == THREADS * ROUNDS
    assert sorted(chain(*sums)) == list(range(1, THREADS * ROUNDS + 1))


def test_no_append_is_lost_and_each_records_its_index() -> None:
    ctx = Context()

    def work(number: int) -> None:
        for turn in range(ROUNDS):
            ctx.append("l", [number, turn])

    at_once(work)

    items = ctx.get("l")
    changes = ctx.get_history("l")
    assert [items[change["index"]] for change in changes] == items
    assert [change["new"] for change in changes] == items
    assert sorted(items) == [[n, turn] for n in range(THREADS) for turn in range(ROUNDS)]


def test_every_item_is_popped_once() -> None:
    ctx = Context()
    ctx.set("l", list(range(THREADS * ROUNDS)))

    popped = at_once(lambda number: [ctx.pop("l", -(number % 2)) for _ in range(ROUNDS)])

    assert sorted(chain(*popped)) == list(range(THREADS * ROUNDS))
    assert ctx.get("l") == []


def test_one_thread_deletes_a_key_and_the_others_get_an_error() -> None:
    ctx = Context()
    ctx.set("a", 1)

    def delete(_: int) -> bool:
        try:
            ctx.delete("a")
        except ContextKeyError:
            return False
        return True

    assert sum(at_once(delete)) == 1


def test_a_reader_never_sees_half_a_value() -> None:
    ctx = Context()
    ctx.set("pair", {"one": 0, "two": 0})

    def work(number: int) -> bool:
        if number % 2:
            for turn in range(ROUNDS):
                ctx.set("pair", {"one": turn, "two": turn})
                ctx.set(f"more.{number}.{turn}", turn)
            return True
        seen = [ctx.get("pair") for _ in range(ROUNDS)]
        seen += [ctx.to_dict()["pair"], ctx.snapshot()["values"]["pair"]]
        whole = [ctx.get("more") for _ in range(10)]
        return all(pair["one"] == pair["two"] for pair in seen) and whole is not None

    assert all(at_once(work))


def test_change_times_order_the_changes_of_all_threads() -> None:
    ctx = Context()
    reported: list[Change] = []

    def work(number: int) -> None:
        handle = ctx.bound(f"step{number}", reported.append)
        for turn in range(ROUNDS):
            handle.set("last", [number, turn])

    at_once(work)

    in_order = sorted(reported, key=lambda change: change.ts)
    assert [change.as_dict() for change in in_order] == ctx.get_history("last")
    assert len({change.ts for change in reported}) == THREADS * ROUNDS
    assert in_order[-1].new == ctx.get("last")


def test_restore_is_atomic_for_readers() -> None:
    ctx = Context()
    ctx.set("a", 0)
    ctx.set("b", 0)
    zero = ctx.snapshot()
    ctx.set("a", 1)
    ctx.set("b", 1)
    one = ctx.snapshot()

    def work(number: int) -> bool:
        if number < 2:
            for _ in range(ROUNDS // 4):
                ctx.restore((zero, one)[number])
            return True
        seen = [ctx.to_dict() for _ in range(ROUNDS)]
        return all(values["a"] == values["b"] for values in seen)

    assert all(at_once(work))


def test_a_change_callback_may_wait_for_another_thread_that_writes() -> None:
    ctx = Context()

    def on_change(change: Change) -> None:
        other = threading.Thread(target=ctx.set, args=("other", change.key))
        other.start()
        other.join(10)
        assert not other.is_alive()

    ctx.bound("flash", on_change).set("a", 1)

    assert ctx.get("other") == "a"
