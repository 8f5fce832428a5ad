"""What lanes run is ended where the process that has them shows no pulse any more."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.execution.lanes.messages import CommandRequest, LaneLost
from pytest_orchestrator.execution.supervision import watchdog
from pytest_orchestrator.execution.supervision.watchdog import HeartbeatFile, heartbeat_reader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TREE = "trap '' TERM; {} sleep 600 & echo $$ $! > pids; exec sleep 600"


def asked(script: str, folder: Path) -> CommandRequest:
    return CommandRequest(argv=("sh", "-c", script), env=dict(os.environ), cwd=str(folder))


@pytest.fixture
def beating() -> Iterator[HeartbeatFile]:
    beating = HeartbeatFile()
    yield beating
    beating.close()


@pytest.mark.parametrize("limited", [False, True])
def test_without_a_pulse_all_that_a_lane_runs_is_ended_by_its_supervisor(
    beating: HeartbeatFile,
    tmp_path: Path,
    is_gone: Callable[[int], bool],
    monkeypatch: pytest.MonkeyPatch,
    *,
    limited: bool,
) -> None:
    monkeypatch.setattr(watchdog, "HEARTBEAT_GRACE", 0.1)
    with Lanes(limited=limited, pulse=beating) as lanes:
        lane = lanes.shell()
        beating.beat(time.monotonic() + 600)
        assert lane.run(asked("true", tmp_path)).code == 0
        lost: list[LaneLost] = []

        def run() -> None:
            with pytest.raises(LaneLost) as caught:
                # Without /proc nobody finds what has a session of its own.
                lane.run(asked(TREE.format("" if limited else "setsid"), tmp_path))
            lost.append(caught.value)

        thread = threading.Thread(target=run)
        thread.start()
        pids = tmp_path / "pids"
        while not pids.exists() or not pids.read_text():
            assert thread.is_alive()
        beating.beat(time.monotonic())
        thread.join(60)

        told = r"the supervisor of the lanes \(pid \d+\) ended with exit code 0"
        assert re.fullmatch(told, str(lost[0]))
        assert all(map(is_gone, map(int, pids.read_text().split())))
        beating.beat(time.monotonic() + 600)
        assert lane.run(asked("true", tmp_path)).code == 0


def test_who_was_frozen_together_with_the_supervisor_may_go_on(
    beating: HeartbeatFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    heard = heartbeat_reader(beating.file, 5.0)
    beating.beat(now)
    now += 600
    assert not heard.has_passed()
    beating.beat(now + 20)
    looks = 0
    while not heard.has_passed():
        now += 1.0
        looks += 1
        assert looks < 60
    assert 25 <= looks < 28  # twenty seconds, and the grace


def test_before_its_first_beat_nobody_is_missed(beating: HeartbeatFile) -> None:
    heard = heartbeat_reader(beating.file, 0.0)

    assert not any(heard.has_passed() for _ in range(100))
