"""Signals that wait until a child that was just started is watched."""

import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from pytest_orchestrator.execution import child
from pytest_orchestrator.execution.held import HeldSignals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_comes_through_at_the_release(number: signal.Signals) -> None:
    came: list[int] = []
    before = signal.signal(number, lambda number, _: came.append(number))
    try:
        held = HeldSignals()
        signal.raise_signal(number)
        assert came == []
        held.release()
        assert came == [number]
        held.release()
        assert came == [number]
    finally:
        assert signal.signal(number, before) != before


def test_control_c_is_raised_at_the_release() -> None:
    held = HeldSignals()
    signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        held.release()


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        held = HeldSignals()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
        held.release()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_control_c_right_after_the_start_ends_the_child(
    monkeypatch: pytest.MonkeyPatch, is_gone: Callable[[int], bool]
) -> None:
    started: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            started.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        child.run(("sleep", "30"), env=os.environ, cwd="/", stdin=None, timeout=None, capacity=1024)

    assert is_gone(started[0])
