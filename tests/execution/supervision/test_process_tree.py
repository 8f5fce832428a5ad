"""Signals to a process tree reach whole process groups and no unrelated process."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest

import pytest_orchestrator

_BEGINNING = """
    import os, signal, time
    from pytest_orchestrator.execution.supervision import os_support
    from pytest_orchestrator.execution.supervision.process_tree import ProcessTree, PsProcessTree

    def child(*first):
        pid = os.fork()
        if pid == 0:
            for one in first:
                one()
            os.write(ready[1], b".")
            signal.pause()
        return pid

    def end(descendants):
        return descendants.end(0.0, lambda seconds: time.sleep(seconds) or True)

    ready = os.pipe()
    os_support.SystemFeatures().adopt_orphans(b"test")
"""


def pids_printed_by(script: str) -> list[int]:
    """Run a script in a separate process and return the pids that it prints."""
    folder = str(Path(pytest_orchestrator.__file__).parents[1])
    source = textwrap.dedent(_BEGINNING) + textwrap.dedent(script)
    argv = (sys.executable, "-c", source)
    env = os.environ | {"PYTHONPATH": folder}
    output = subprocess.check_output(argv, env=env, timeout=20, start_new_session=True)
    return [int(pid) for pid in output.split()]


def test_a_process_group_is_ended_through_any_of_its_members(
    is_gone: Callable[[int], bool],
) -> None:
    pids = pids_printed_by("""
        def many():
            os.setsid()
            os.write(1, b"%d\\n" % child())

        class Short(ProcessTree):
            def living(self):
                return [met]

        met = child(many)
        os.read(ready[0], 1), os.read(ready[0], 1)
        end(Short())
        print(met)
    """)

    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


def test_a_lane_that_left_its_session_does_not_kill_itself_or_other_lanes(
    is_gone: Callable[[int], bool],
) -> None:
    # The module of a step may call setsid; the supervisor and all lanes stay in the old session.
    pids = pids_printed_by("""
        lane = os.fork()
        if lane == 0:
            descendants = ProcessTree()
            before = child()
            os.setsid()
            print(before, child(), child(os.setsid), flush=True)
            for _ in range(3):
                os.read(ready[0], 1)
            os._exit(len(end(descendants)))
        assert os.waitpid(lane, 0)[1] == 0
    """)

    assert len(pids) == 3
    assert all(is_gone(pid) for pid in pids)


TREES = pytest.mark.parametrize(
    "tree",
    [
        pytest.param("ProcessTree", marks=pytest.mark.skipif(sys.platform != "linux", reason="")),
        pytest.param("PsProcessTree", marks=pytest.mark.skipif(not which("ps"), reason="no ps")),
    ],
)

_SIGNALS = """
    import itertools

    sent, send, turns = [], os_support.kill, itertools.count()

    def kill(pid, number):
        sent.append(number)
        send(pid, number)

    def waited(seconds):
        if next(turns) == 9:  # after several searches for new processes
            os.write(go[1], b"." * 8)
        return time.sleep(seconds) or True

    os_support.kill = kill
    go = os.pipe()

    def end(descendants):
        left = descendants.end(60.0, waited)
        assert not left
"""


@TREES
def test_a_child_that_its_parent_forks_while_it_ends_receives_a_term(tree: str) -> None:
    # The child appears after its parent has received the signal.
    pids = pids_printed_by(
        _SIGNALS
        + f"""
    def forks_and_dies(*_):
        child(lambda: signal.signal(signal.SIGTERM, signal.SIG_DFL))
        os._exit(0)

    child(lambda: signal.signal(signal.SIGTERM, forks_and_dies))
    os.read(ready[0], 1)
    end({tree}())
    assert os.read(ready[0], 1) == b"."
    assert set(sent) == set([signal.SIGTERM, signal.SIGCONT]), sent
    print(sent.count(signal.SIGTERM))
    """
    )

    assert pids == [2]


@TREES
def test_a_process_started_for_cleanup_at_the_term_receives_none(tree: str) -> None:
    codes = pids_printed_by(
        _SIGNALS
        + f"""
    def cleans_up(*_):
        def clean():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.read(go[0], 1)
            os._exit(7)

        os._exit(os.waitstatus_to_exitcode(os.waitpid(child(clean), 0)[1]))

    below = {tree}()
    below.reaped = lambda pid, status, used: print(os.waitstatus_to_exitcode(status))
    child(lambda: signal.signal(signal.SIGTERM, cleans_up))
    os.read(ready[0], 1)
    end(below)
    """
    )

    assert codes == [7]


def test_a_process_receives_one_term() -> None:
    counts = pids_printed_by(
        _SIGNALS
        + """
    def counts(*_):
        os.write(1, b"1 ")

    def hold():
        signal.signal(signal.SIGTERM, counts)
        os.write(ready[1], b".")
        os.read(go[0], 1)
        os._exit(0)

    child(hold)
    os.read(ready[0], 1)
    end(ProcessTree())
    """
    )

    assert counts == [1]
