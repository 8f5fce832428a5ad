"""The figures of a child are its own: CPU, peak of memory, number of processes."""

import os
import resource
import sys

import pytest

from pytest_orchestrator.core.result import Usage
from pytest_orchestrator.execution import child
from pytest_orchestrator.execution.family import Family
from pytest_orchestrator.execution.usage import resident

PEAK = "open('/proc/self/status').read().partition('VmHWM:')[2].split()[0]"


def figures(*argv: str) -> tuple[Usage, str]:
    exited = child.run(
        argv, env=dict(os.environ), cwd="/", stdin=None, timeout=20, capacity=1 << 20
    )
    assert exited.code == 0
    return exited.usage, exited.stdout.stream().text


def python(source: str) -> tuple[Usage, str]:
    return figures(sys.executable, "-I", "-S", "-c", source)


def test_cpu_is_what_the_child_burned() -> None:
    usage, _ = python("import time\nwhile time.process_time() < 0.2: pass")
    cpu = (usage.cpu_user_seconds or 0) + (usage.cpu_system_seconds or 0)
    assert cpu == pytest.approx(0.2, rel=0.25)
    assert usage.source["cpu"] == "wait4"


def test_cpu_of_grandchildren_counts() -> None:
    burn = f"{sys.executable} -I -S -c 'import time\nwhile time.process_time() < 0.1: pass'"
    usage, _ = figures("/bin/sh", "-c", f"{burn} & {burn} & wait")
    cpu = (usage.cpu_user_seconds or 0) + (usage.cpu_system_seconds or 0)
    assert cpu == pytest.approx(0.2, rel=0.25)


def test_the_peak_of_memory_is_that_of_the_child() -> None:
    usage, peak = python(f"import time\nheld = b'x' * 10**8\ntime.sleep(0.3)\nprint({PEAK})")
    assert usage.max_rss == pytest.approx(int(peak) * 1024, rel=0.1)
    assert usage.max_rss == pytest.approx(10**8, rel=0.2)


def test_the_peak_of_a_child_smaller_than_this_process_comes_from_samples() -> None:
    usage, peak = python(f"import time\nheld = b'x' * 10**7\ntime.sleep(0.3)\nprint({PEAK})")
    assert usage.max_rss == pytest.approx(int(peak) * 1024, rel=0.1)
    assert usage.source["memory"] == "sampled high-water marks"


def test_a_peak_that_no_sample_saw_is_told_where_it_is_above_our_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Family, "sample", lambda self: None)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    usage, peak = python(f"held = b'x' * {own + 10**8}\nprint({PEAK})")
    assert usage.max_rss == pytest.approx(int(peak) * 1024, rel=0.1)
    assert usage.source["memory"] == "wait4"


def test_a_small_child_does_not_have_the_peak_of_this_process() -> None:
    assert resident() > 30_000_000
    usage, _ = figures("/bin/true")
    assert (usage.max_rss or 0) < 15_000_000


def test_processes_and_seconds_are_counted() -> None:
    usage, _ = figures("/bin/sh", "-c", "sleep 0.1 & sleep 0.1 & wait")
    assert usage.processes == 3
    assert 0.1 <= usage.seconds < 1


def test_bytes_of_storage_are_told_with_their_source() -> None:
    usage, _ = figures("/bin/true")
    assert (usage.read_bytes is None) == (usage.write_bytes is None) == ("io" not in usage.source)
