"""Resource usage of this process and of others, as the system reports it."""

import gc
import mmap
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import UNSET

from pytest_orchestrator.execution.steps import python_inline
from pytest_orchestrator.execution.steps.python_inline import ProcessUsage, resident
from pytest_orchestrator.execution.supervision import os_support, resource_usage
from pytest_orchestrator.execution.supervision.os_support import KEEPS_IO, io_of
from pytest_orchestrator.execution.supervision.process_tree import ProcessTree
from pytest_orchestrator.execution.supervision.resource_usage import TreeUsage
from pytest_orchestrator.runs.block import plain


@pytest.fixture
def without_gc() -> Iterator[None]:
    """Keep the garbage collector from freeing the memory of other tests meanwhile."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("without_gc")
def test_memory_that_the_step_keeps_is_measured_as_growth() -> None:
    own = ProcessUsage()
    # An object of Python may get memory that an earlier test has left to the process.
    with mmap.mmap(-1, 50_000_000) as held:
        for at in range(0, len(held), mmap.PAGESIZE):
            held[at] = 1
        used = own.usage()
        assert used.rss_delta == pytest.approx(len(held), rel=0.1)
    assert used.source["memory"] == "growth of this process"


def test_cpu_time_of_children_is_included() -> None:
    own = ProcessUsage()
    subprocess.run(
        ("/bin/sh", "-c", "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done"), check=True
    )
    used = own.usage()
    assert (used.cpu_user_seconds or 0) + (used.cpu_system_seconds or 0) >= 0.03
    assert used.max_rss is UNSET


def test_figures_that_are_not_measured_are_absent() -> None:
    assert "max_rss" not in plain(ProcessUsage().usage())
    assert "heap_peak" not in plain(ProcessUsage().usage())
    assert "read_bytes" not in plain(ProcessUsage(io=False).usage())
    assert "io" not in ProcessUsage(io=False).usage().source


def test_memory_is_measured_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    from_proc = resident()
    monkeypatch.setattr(python_inline, "_LINUX", False)

    assert resident() == pytest.approx(from_proc, rel=0.1)
    assert resident(2**22 + 1) == 0


def test_without_proc_the_peak_is_that_of_the_largest_process_and_samples_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource_usage, "_LINUX", False)
    monkeypatch.setattr(os_support, "contents", lambda path: b"")
    usage = TreeUsage()
    with subprocess.Popen(("sleep", "60")) as process:
        monkeypatch.setattr(ProcessTree, "living", lambda _: [process.pid])
        usage.started(process.pid)
        usage.sample(0.1, ProcessTree())
        process.kill()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    usage.reaped(process.pid, used)

    reply = usage.as_reply(1.0)
    figures = reply["usage"]
    assert (reply["samples"], figures["processes"]) == ([], 1)
    assert figures["max_rss"] == figures["largest_rss"] == reply["rss_bound"]
    assert used.ru_maxrss * 1024 <= figures["max_rss"]
    assert figures["source"]["memory"].startswith("wait4")


def test_a_process_that_has_ended_has_no_memory() -> None:
    with subprocess.Popen(("true",)) as process:
        pass
    assert resident(process.pid) == 0


@pytest.mark.skipif(not KEEPS_IO, reason="this kernel does not count them")
def test_bytes_that_children_write_are_counted_as_in_proc(tmp_path: Path) -> None:
    argv = ("dd", "if=/dev/zero", f"of={tmp_path}/written", "bs=1M", "count=3", "conv=fsync")

    own = ProcessUsage()
    child = os.posix_spawnp("dd", argv, os.environ, file_actions=[(os.POSIX_SPAWN_CLOSE, 2)])
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    proc_io = Path(f"/proc/{child}/io").read_text(encoding="ascii")
    _, _, used = os.wait4(child, 0)

    read, written = (
        int(proc_io.partition(f"\n{name}_bytes: ")[2].partition("\n")[0])
        for name in ("read", "write")
    )
    assert written in (0, *range(3_000_000, 4_000_000))  # none on a file system in memory
    assert io_of(used) == (read, written)
    assert (own.usage().write_bytes or 0) >= written


@pytest.mark.parametrize(
    ("files", "processes", "room"),
    [
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, (sys.maxsize, "")),
        (1 << 20, 1 << 20, (sys.maxsize, "")),
        (256, 1 << 20, ((256 - 16 - 40) // 6, "ulimit -n")),
        (256, 100, ((100 - 30 - 40) // 4, "ulimit -u")),
        (20, 100, ((20 - 16 - 40) // 6, "ulimit -n")),
    ],
)
def test_the_number_of_parallel_steps_is_limited_by_ulimits(
    files: int, processes: int, room: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {resource.RLIMIT_NOFILE: files, resource.RLIMIT_NPROC: processes}
    monkeypatch.setattr(python_inline, "getrlimit", lambda which: (limits[which], 0))
    monkeypatch.setattr(python_inline, "open_files", lambda: 16)
    monkeypatch.setattr(python_inline, "processes", lambda: 30)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    assert python_inline.room(64) == room


def test_open_files_and_threads_of_this_process_are_counted() -> None:
    files, before = python_inline.open_files(), python_inline.processes()
    read, write = os.pipe()
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()

    assert python_inline.open_files() >= files + 2
    assert python_inline.processes() >= 2
    assert before >= 1
    over.set()
    thread.join()
    os.close(read)
    os.close(write)
