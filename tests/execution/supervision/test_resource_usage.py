"""A figure that could not be measured is reported as an upper bound, never as nearly zero."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_orchestrator.execution.supervision import os_support, resource_usage
from pytest_orchestrator.execution.supervision.resource_usage import TreeUsage

if TYPE_CHECKING:
    from resource import struct_rusage


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (4, (12 << 20, "wait4, an upper bound")),
        (2048, (2 << 20, "sampled high-water marks")),
    ],
)
def test_a_mark_below_a_megabyte_is_not_a_peak(
    mark: int, expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own = SimpleNamespace(ru_maxrss=9 << 10)
    monkeypatch.setattr(resource_usage, "getrusage", lambda _: own)
    monkeypatch.setattr(os_support, "contents", lambda _: b"VmHWM:\t%8d kB\n" % mark)
    used: Any = SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_maxrss=9 << 10)
    used.ru_inblock = used.ru_oublock = 0
    usage = TreeUsage()
    usage.started(1)
    usage.sample_one(1)
    usage.reaped(1, cast("struct_rusage", used))

    reply = usage.as_reply(1.0)
    assert (reply["usage"]["max_rss"], reply["usage"]["source"]["memory"]) == expected
    assert reply["rss_bound"] == 12 << 20


@pytest.mark.parametrize(("waited", "bound"), [(12, 12 << 20), (13, None)])
@pytest.mark.parametrize("own", [8 << 10, (11 << 10) - 1])
def test_the_bound_of_a_peak_is_the_same_for_lanes_of_nearly_the_same_size(
    own: int, waited: int, bound: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource_usage, "getrusage", lambda _: SimpleNamespace(ru_maxrss=own))
    used: Any = SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_maxrss=waited << 10)
    used.ru_inblock = used.ru_oublock = 0
    usage = TreeUsage()
    usage.started(1)
    usage.reaped(1, cast("struct_rusage", used))

    reply = usage.as_reply(1.0)
    assert (reply["usage"]["max_rss"], reply["rss_bound"]) == (waited << 20, bound)


def test_the_mark_of_a_fork_is_its_own_however_large_its_parent_was(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os_support, "contents", lambda _: b"")
    used: Any = SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_maxrss=9 << 10)
    used.ru_inblock = used.ru_oublock = 0
    usage = TreeUsage()
    usage.started(1, is_fork=True)
    usage.reaped(1, cast("struct_rusage", used))

    peak = usage.as_reply(1.0)["usage"]
    assert (peak["max_rss"], peak["source"]["memory"]) == (9 << 20, "wait4")


@pytest.mark.skipif(sys.platform != "linux", reason="the high-water mark of Linux")
def test_a_fork_does_not_inherit_the_high_water_mark_of_its_parent() -> None:
    code = """
        import os, resource
        large = b"1" * 200_000_000
        del large
        child = os.fork()
        if not child:
            os._exit(0)
        print(os.wait4(child, 0)[2].ru_maxrss, resource.getrusage(0).ru_maxrss)
    """
    argv = [sys.executable, "-c", textwrap.dedent(code)]
    peaks = subprocess.run(argv, capture_output=True, check=True, text=True).stdout.split()
    assert int(peaks[0]) < 100_000 < int(peaks[1])
