"""A timeout ends every program within three seconds, measured with a simulated clock.

The clock advances only by the time that the lane waits. So the load of the machine does not change
the result, and a lane that waits too long or too often is always late.
"""

import json
import os
import subprocess
import sys
from signal import SIGCONT, SIGKILL, SIGSTOP, SIGTERM

from benchmarks.faults import BOUND, PATIENCE

TIMEOUT = 1.0
LANE = """
import json, os, select, sys
from contextlib import suppress
from socket import socketpair
from types import SimpleNamespace
from _signal import SIGKILL, SIGTERM
from msgspec import structs
from pytest_orchestrator.execution.supervision import (
    lane_process,
    os_support,
    process_tree,
    run_loop,
)
from pytest_orchestrator.execution.lanes.messages import CommandRequest, reply_timeout

script, deadly, limit = sys.argv[1], json.loads(sys.argv[2]), float(sys.argv[3])
now, signals = 0.0, []
send = os_support.kill

class Poll:
    def __init__(self):
        real = self.real = select.poll()
        self.register, self.unregister = real.register, real.unregister

    def poll(self, pause):
        global now
        if any(number in deadly for _, number in signals):
            with suppress(ChildProcessError):
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        found = self.real.poll(0)
        if not found:
            now += pause / 1000
        return found

def kill(pid, number):
    signals.append((round(now, 3), number))
    if number != SIGKILL or number in deadly:
        send(pid, number)

def start(request, stdout, stderr):
    pid = lane_process.start_program(request, stdout, stderr)
    os.close(9)
    assert os.read(ready, 1) == b"!"
    return pid

clock = SimpleNamespace(monotonic=lambda: now, time=lambda: now)
run_loop.time = process_tree.time = clock
run_loop.select = SimpleNamespace(poll=Poll, POLLIN=select.POLLIN)
os_support.kill = kill
ready, theirs = os.pipe()
os.dup2(theirs, 9)
os.close(theirs)
features = os_support.SystemFeatures()
features.adopt_orphans(b"test")
control, other = socketpair()
alive, living = os.pipe()
argv = ("/bin/sh", "-c", f"{script}; printf ! >&9; exec sleep 60")
request = CommandRequest(argv=argv, env=dict(os.environ), cwd="/", timeout=limit)
below = process_tree.ProcessTree()
run = run_loop.CommandLoop(structs.asdict(request) | {"id": 1}, [], control=control, alive=alive,
                  features=features, descendants=below)
reply = run.run(start)
assert now < reply_timeout(request), "pytest would have given up the lane before its reply"
seconds = reply["usage"]["seconds"]
print(json.dumps([signals, now, reply["timed_out"], seconds, len(reply["unended"])]))
sys.stdout.flush()
os_support.kill = send
for one in os_support.children(os.getpid()):
    send(one, SIGKILL)
"""


def ended(script: str, deadly: int | None) -> tuple[list[list[float]], float, float, int]:
    """Run a program beyond its timeout; only the signal ``deadly`` ends it, or none does.

    Returns:
        The signals with their times, the time at which the lane was done, the duration of the
        program as the lane reports it, and the number of processes that it could not end.
    """
    words = (script, json.dumps([deadly] if deadly else []), str(TIMEOUT))
    out = subprocess.check_output(
        (sys.executable, "-c", LANE, *words),
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=PATIENCE,
    )
    signals, now, timed_out, seconds, unended = json.loads(out)
    assert timed_out
    return signals, now, seconds, unended


def test_a_program_that_obeys_term_ends_at_its_deadline() -> None:
    signals, now, seconds, unended = ended(":", SIGTERM)

    assert signals[:1] == [[TIMEOUT, SIGTERM]]
    assert {number for _, number in signals} == {SIGTERM, SIGCONT}
    assert TIMEOUT <= seconds <= now < TIMEOUT + 0.1
    assert unended == 0


def test_a_program_that_ignores_term_is_killed_two_seconds_later() -> None:
    signals, now, seconds, unended = ended("trap '' TERM", SIGKILL)

    first, killed = signals[0], [at for at, number in signals if number == SIGKILL]
    assert first == [TIMEOUT, SIGTERM]
    assert set(killed) == {TIMEOUT + 2}
    assert signals.index([TIMEOUT + 2, SIGSTOP]) < signals.index([TIMEOUT + 2, SIGKILL])
    assert TIMEOUT + 2 <= seconds <= now < TIMEOUT + BOUND
    assert unended == 0


def test_a_lane_gives_up_in_time_a_program_that_cannot_be_killed() -> None:
    signals, now, seconds, unended = ended("trap '' TERM", None)

    assert [TIMEOUT + 2, SIGKILL] in signals
    assert unended
    assert seconds <= now < TIMEOUT + BOUND
