"""A lane that is a separate program and dies before it is ready."""

import os
import re
import sys

import pytest

from pytest_orchestrator.execution.lanes.lane import Lanes, Program, Slot
from pytest_orchestrator.execution.lanes.messages import CommandRequest, LaneLost
from pytest_orchestrator.execution.lanes.ssh_connections import SshConnections

LONG = {"words": "x" * 10_000_000}
"""More than a socket buffers, so that sending it to a process that has ended fails."""


@pytest.mark.parametrize("hello", [{}, LONG], ids=["read", "unread"])
@pytest.mark.parametrize("early", [False, True])
def test_a_lane_that_dies_before_it_is_ready_is_lost(hello: dict[str, str], early: bool) -> None:
    argv = [sys.executable, "-ISc", "raise SystemExit(3)"]
    with Lanes() as lanes:
        lane = Slot(lanes, Program(argv, dict(os.environ), hello), SshConnections()).python
        if early:
            lane.start()
        with pytest.raises(LaneLost) as lost:
            lane.run(CommandRequest(argv=(), env={}, cwd="/"))

    assert re.fullmatch(
        r"the process that runs this step \(pid \d+\) ended with exit code 3", str(lost.value)
    )
    assert lane.pid is None
