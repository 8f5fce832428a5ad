"""Callback queue of the main thread: other threads post callbacks, it runs them."""

import threading

import pytest

from pytest_orchestrator.execution.notifications import MainThreadQueue


def in_another_thread(act: object, *args: object) -> None:
    thread = threading.Thread(target=act, args=args)  # type: ignore[arg-type]
    thread.start()
    thread.join()


def test_a_call_in_the_queues_own_thread_runs_at_once() -> None:
    done: list[int] = []

    MainThreadQueue().in_main_thread(done.append)(1)

    assert done == [1]


def test_a_call_of_another_thread_runs_in_wait() -> None:
    main_queue, done = MainThreadQueue(), list[int]()
    in_another_thread(main_queue.in_main_thread(done.append), 1)
    assert done == []

    main_queue.wait()

    assert done == [1]


def test_posted_callbacks_run_in_their_order() -> None:
    main_queue, done = MainThreadQueue(), list[int]()
    act = main_queue.in_main_thread(done.append)
    in_another_thread(act, 1)
    main_queue.wake()
    in_another_thread(act, 2)

    act(3)

    assert done == [1, 2, 3]


def test_wake_ends_a_wait_without_a_callback() -> None:
    main_queue = MainThreadQueue()
    in_another_thread(main_queue.wake)

    main_queue.wait()
    main_queue.wait(0.0)


def test_an_exception_of_a_posted_callback_is_raised_by_wait() -> None:
    def act(_: int) -> None:
        raise KeyboardInterrupt

    main_queue = MainThreadQueue()
    in_another_thread(main_queue.in_main_thread(act), 1)

    with pytest.raises(KeyboardInterrupt):
        main_queue.wait()
