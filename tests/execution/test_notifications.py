"""The bell: what other threads leave to the thread that made it."""

import threading

import pytest

from pytest_orchestrator.execution.notifications import MainThreadQueue


def elsewhere(act: object, *given: object) -> None:
    thread = threading.Thread(target=act, args=given)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_what_is_relayed_at_home_is_done_at_once() -> None:
    done: list[int] = []

    MainThreadQueue().relayed(done.append)(1)

    assert done == [1]


def test_what_another_thread_relays_is_done_by_who_waits() -> None:
    bell, done = MainThreadQueue(), list[int]()
    elsewhere(bell.relayed(done.append), 1)
    assert done == []

    bell.wait()

    assert done == [1]


def test_all_is_done_in_the_order_in_which_it_was_relayed() -> None:
    bell, done = MainThreadQueue(), list[int]()
    act = bell.relayed(done.append)
    elsewhere(act, 1)
    bell.wake()
    elsewhere(act, 2)

    act(3)

    assert done == [1, 2, 3]


def test_a_ring_wakes_and_does_nothing() -> None:
    bell = MainThreadQueue()
    elsewhere(bell.wake)

    bell.wait()
    bell.wait(0.0)


def test_what_is_raised_on_behalf_of_others_is_raised_here() -> None:
    def act(_: int) -> None:
        raise KeyboardInterrupt

    bell = MainThreadQueue()
    elsewhere(bell.relayed(act), 1)

    with pytest.raises(KeyboardInterrupt):
        bell.wait()
