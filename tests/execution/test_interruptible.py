"""Waits for other threads still work after Ctrl-C has interrupted them between two instructions."""

import inspect
import itertools
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import FrameType
from typing import Any

import pytest

from benchmarks.faults import PATIENCE
from pytest_orchestrator.execution.interruptible import InterruptibleEvent, InterruptibleFuture

FILES = (sys.modules[InterruptibleEvent.__module__].__file__, threading.__file__)


def interrupted(call: Callable[[], object], number: int) -> bool:
    """Raise KeyboardInterrupt before an instruction of a call; return False if it has fewer."""
    count = itertools.count()

    def trace(frame: FrameType, event: str, _: object) -> Any:
        frame.f_trace_opcodes = frame.f_code.co_filename in FILES
        if event == "opcode" and next(count) == number:
            raise KeyboardInterrupt
        return trace

    before = sys.gettrace()
    own = inspect.currentframe()
    assert own is not None
    own.f_trace_opcodes = True  # Python 3.12 traces opcodes only if it is set before `settrace`
    sys.settrace(trace)
    try:
        call()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def still_works(event: threading.Event) -> bool:
    """Return True if another thread can set the event, and this one then waits for it."""
    setter = threading.Thread(target=event.set, daemon=True)
    setter.start()
    setter.join(PATIENCE if isinstance(event, InterruptibleEvent) else 0.5)
    return not setter.is_alive() and event.wait(PATIENCE)


CALLS: dict[str, Callable[[threading.Event], object]] = {
    "wait": lambda event: event.wait(0.001),
    "set": lambda event: event.set(),
    "clear": lambda event: event.clear(),
    "is_set": lambda event: event.is_set(),
}


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", CALLS)
def test_an_event_works_after_an_interrupt_at_any_instruction(name: str) -> None:
    number, event = 0, InterruptibleEvent()
    while interrupted(partial(CALLS[name], event), number):
        assert still_works(event)
        number, event = number + 1, InterruptibleEvent()
    assert number >= 3


@pytest.mark.unmeasured
def test_the_event_of_python_may_stay_locked() -> None:
    """If this fails on a later Python, the module is needed no more from that version on."""
    broken = []
    for number in itertools.count():
        event = threading.Event()
        if not interrupted(partial(event.wait, 0.001), number):
            break
        if not still_works(event):
            broken.append(number)
            break
    assert broken


def test_an_event_wakes_all_threads_that_wait() -> None:
    event = InterruptibleEvent()
    with ThreadPoolExecutor(8) as pool:
        waits = [pool.submit(event.wait, limit) for limit in (None, PATIENCE) * 4]
        assert not event.wait(0)
        event.set()
        assert [one.result() for one in waits] == [True] * 8
    assert event.is_set()
    assert event.wait(-1)
    event.clear()
    assert not event.wait(0.001)


def test_waits_that_have_ended_do_not_prevent_the_next_set() -> None:
    event = InterruptibleEvent()
    for _ in range(3):
        event.wait(0)
    event.set()
    event.set()
    assert event.is_set()


def test_a_future_has_the_result_or_the_exception_that_another_thread_sets() -> None:
    futures = [InterruptibleFuture() for _ in range(3)]
    ended: list[InterruptibleFuture] = []
    futures[0].add_done_callback(ended.append)

    def end() -> None:
        futures[0].set_result(12)
        futures[1].set_exception(OSError("gone"))

    thread = threading.Thread(target=end)
    thread.start()

    assert futures[0].result(PATIENCE) == 12
    with pytest.raises(OSError, match="gone"):
        futures[1].result()
    thread.join()
    futures[0].add_done_callback(ended.append)
    assert ended == [futures[0]] * 2
    assert [one.done() for one in futures] == [True, True, False]
    assert not futures[2].wait(0)
    with pytest.raises(TimeoutError):
        futures[2].result(0.001)
