"""The supervisor ends all lanes when the heartbeat of their owner stops."""

from __future__ import annotations

import os
import re
import threading
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.lanes.lane import Lanes
from pytest_orchestrator.execution.lanes.messages import CommandRequest, LaneLost
from pytest_orchestrator.execution.supervision import deadlines
from pytest_orchestrator.execution.supervision.deadlines import DeadlineReader, HeartbeatFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TREE = "trap '' TERM; {} sleep 600 & echo $$ $! > pids; exec sleep 600"


def request(script: str, folder: Path) -> CommandRequest:
    return CommandRequest(argv=("sh", "-c", script), env=dict(os.environ), cwd=str(folder))


@pytest.fixture
def heartbeat() -> Iterator[HeartbeatFile]:
    heartbeat = HeartbeatFile()
    yield heartbeat
    heartbeat.close()


@pytest.mark.parametrize("limited", [False, True])
def test_a_missing_heartbeat_makes_the_supervisor_end_all_lanes(
    heartbeat: HeartbeatFile,
    tmp_path: Path,
    is_gone: Callable[[int], bool],
    monkeypatch: pytest.MonkeyPatch,
    *,
    limited: bool,
) -> None:
    monkeypatch.setattr(deadlines, "HEARTBEAT_GRACE", 0.1)
    with Lanes(limited=limited, heartbeat=heartbeat) as lanes:
        lane = lanes.shell()
        heartbeat.beat(time.monotonic() + 600)
        assert lane.run(request("true", tmp_path)).code == 0
        lost: list[LaneLost] = []

        def run() -> None:
            with pytest.raises(LaneLost) as caught:
                # Without /proc a process in its own session is not found.
                lane.run(request(TREE.format("" if limited else "setsid"), tmp_path))
            lost.append(caught.value)

        thread = threading.Thread(target=run)
        thread.start()
        pids = tmp_path / "pids"
        while not pids.exists() or not pids.read_text():
            assert thread.is_alive()
        heartbeat.beat(time.monotonic())
        thread.join(60)

        reason = r"the supervisor \(pid \d+\) ended with exit code 0"
        assert re.fullmatch(reason, str(lost[0]))
        assert all(map(is_gone, map(int, pids.read_text().split())))
        heartbeat.beat(time.monotonic() + 600)
        assert lane.run(request("true", tmp_path)).code == 0


def test_a_process_frozen_with_the_supervisor_gets_the_whole_grace_period(
    heartbeat: HeartbeatFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    reader = DeadlineReader(heartbeat.file, 5.0)
    heartbeat.beat(now)
    now += 600
    assert not reader.has_passed()
    renewed = now
    heartbeat.beat(renewed + 20)
    while not reader.has_passed():
        now += reader.pause
        assert now < renewed + 60
    assert 25 <= now - renewed < 26.1  # twenty seconds and the grace period


def test_a_heartbeat_file_without_a_beat_is_never_late(heartbeat: HeartbeatFile) -> None:
    reader = DeadlineReader(heartbeat.file, 0.0)

    assert not any(reader.has_passed() for _ in range(100))
