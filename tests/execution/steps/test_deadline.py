"""Deadline of code that runs in this process."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from pytest_orchestrator.execution.steps.python_inline import TimeLimitReached, deadline
from pytest_orchestrator.scriptlets.call import call


def spin() -> None:
    while True:
        pass


def swallow() -> None:
    try:
        time.sleep(20)
    except BaseException:  # noqa: BLE001
        return


def hits_deadline() -> None:
    """Raise the signal of the deadline here."""
    signal.raise_signal(signal.SIGALRM)


def swallow_and_fail() -> None:
    try:
        time.sleep(20)
    except BaseException:  # noqa: BLE001
        raise ValueError("no instrument") from None


def swallow_and_exit() -> None:
    try:
        time.sleep(20)
    except BaseException:  # noqa: BLE001
        sys.exit(0)


@pytest.mark.parametrize(
    "block",
    [
        lambda: time.sleep(20),
        spin,
        threading.Event().wait,
        lambda: subprocess.run(("sleep", "20"), check=False),
        swallow,
        swallow_and_fail,
        swallow_and_exit,
    ],
)
def test_the_deadline_interrupts_every_kind_of_wait(block: Callable[[], object]) -> None:
    started = time.monotonic()
    with pytest.raises(TimeLimitReached), deadline(0.05):
        block()
    assert time.monotonic() - started < 15


def test_the_deadline_interrupts_a_wait_that_begins_just_after_the_signal() -> None:
    def block() -> None:
        # Python has seen the signal, but handles it only after the wait.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
        signal.sigwait({signal.SIGALRM})
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
        threading.Event().wait(20)

    started = time.monotonic()
    with pytest.raises(TimeLimitReached), deadline(0.01):
        block()
    assert time.monotonic() - started < 15


def test_a_block_has_all_the_time_it_needs_after_its_deadline() -> None:
    ends = list[bool]()

    def block() -> None:
        try:
            time.sleep(20)
        finally:
            time.sleep(0.3)
            ends.append(True)

    with pytest.raises(TimeLimitReached), deadline(0.01):
        block()
    assert ends


@pytest.mark.parametrize("others", [1, 150])
def test_the_deadline_prints_the_interrupted_stack_before_those_of_other_threads(
    others: int, capsys: pytest.CaptureFixture[str]
) -> None:
    release = threading.Event()
    ready = threading.Barrier(1 + others)

    def wait_in_a_thread() -> None:
        ready.wait()
        release.wait()

    threads = [
        threading.Thread(target=wait_in_a_thread, name=f"pump {number}") for number in range(others)
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    with pytest.raises(TimeLimitReached), deadline(60):
        call(hits_deadline, None, None)
    release.set()
    for thread in threads:
        thread.join()
    first, *rest = capsys.readouterr().err.split("\nThread ")[1:]
    place = re.escape(f'File "{__file__}"')
    assert re.fullmatch(
        rf"MainThread \(most recent call last\):\n  {place}, line \d+, in hits_deadline\n    .*\n",
        first,
    )
    printed = {stack.partition(" (")[0] for stack in rest if ", in wait_in_a_thread\n" in stack}
    assert printed == {thread.name for thread in threads}


def test_a_block_that_ends_in_time_is_not_interrupted() -> None:
    with deadline(20):
        value = 1
    assert value == 1
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


@pytest.mark.parametrize("end", [KeyboardInterrupt, ValueError, SystemExit])
def test_an_exception_before_the_deadline_is_raised_unchanged(end: type[BaseException]) -> None:
    with pytest.raises(end), deadline(20):
        raise end


def test_the_timer_and_handler_of_other_plugins_are_restored() -> None:
    def handler(_number: int, _frame: object) -> None:
        return

    before = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 100)
    try:
        with deadline(20):
            pass
        assert 99 < signal.getitimer(signal.ITIMER_REAL)[0] <= 100
        assert signal.getsignal(signal.SIGALRM) is handler
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_block_without_a_limit_or_in_another_thread_has_no_deadline() -> None:
    timers: list[tuple[float, float]] = []

    def note(seconds: float | None) -> None:
        with deadline(seconds):
            timers.append(signal.getitimer(signal.ITIMER_REAL))

    note(None)
    thread = threading.Thread(target=note, args=(20,))
    thread.start()
    thread.join()
    assert timers == [(0, 0), (0, 0)]
