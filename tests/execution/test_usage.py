"""Figures of this process, and what the system tells of any."""

import os
import subprocess

import pytest

from pytest_orchestrator.execution.kernel import io_of
from pytest_orchestrator.execution.usage import Own, resident


def test_memory_that_is_held_is_growth() -> None:
    own = Own()
    held = b"x" * 50_000_000
    usage = own.usage()
    assert usage.rss_delta == pytest.approx(len(held), rel=0.1)
    assert usage.source["memory"] == "growth of this process"


def test_cpu_of_children_counts() -> None:
    own = Own()
    subprocess.run(
        ("/bin/sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), check=True
    )
    usage = own.usage()
    assert (usage.cpu_user_seconds or 0) + (usage.cpu_system_seconds or 0) >= 0.03
    assert usage.max_rss is None


def test_what_is_not_measured_is_absent() -> None:
    assert "max_rss" not in Own().usage().as_dict()
    assert "heap_peak" not in Own().usage().as_dict()
    assert "read_bytes" not in Own(io=False).usage().as_dict()
    assert "io" not in Own(io=False).usage().source


def test_a_process_that_is_gone_has_no_figures() -> None:
    with subprocess.Popen(("true",)) as process:
        # Not yet reaped: the system still tells.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert (io_of(process.pid) is None) == (io_of(os.getpid()) is None)
    assert io_of(process.pid) is None
    assert resident(process.pid) == 0
