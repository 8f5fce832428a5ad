"""A figure that could not be measured is reported as an upper bound, never as nearly zero."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_orchestrator.execution.supervision import os_support
from pytest_orchestrator.execution.supervision.resource_usage import TreeUsage

if TYPE_CHECKING:
    from resource import struct_rusage


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        (4, (9 << 20, "wait4, an upper bound")),
        (2048, (2 << 20, "sampled high-water marks")),
    ],
)
def test_a_mark_below_a_megabyte_is_not_a_peak(
    mark: int, expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_support, "contents", lambda _: b"VmHWM:\t%8d kB\n" % mark)
    used: Any = SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_maxrss=9 << 10)
    used.ru_inblock = used.ru_oublock = 0
    usage = TreeUsage()
    usage.started(1)
    usage.sample_one(1)
    usage.reaped(1, cast("struct_rusage", used))

    peak = usage.as_reply()
    assert (peak["max_rss"], peak["memory_source"]) == expected
