"""A figure that was not measured is absent or a bound that says so, never next to nothing."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from pytest_orchestrator.execution.supervision import os_support
from pytest_orchestrator.execution.supervision.resource_usage import TreeUsage

if TYPE_CHECKING:
    from resource import struct_rusage


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        (4, (9 << 20, "wait4, an upper bound")),
        (2048, (2 << 20, "sampled high-water marks")),
    ],
)
def test_the_first_pages_of_a_program_are_no_peak(
    mark: int, told: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os_support, "contents", lambda _: b"VmHWM:\t%8d kB\n" % mark)
    used: Any = SimpleNamespace(ru_utime=0.0, ru_stime=0.0, ru_maxrss=9 << 10)
    used.ru_inblock = used.ru_oublock = 0
    figures = TreeUsage()
    figures.started(1)
    figures.sample_one(1)
    figures.reaped(1, cast("struct_rusage", used))

    peak = figures.as_reply()
    assert (peak["max_rss"], peak["memory_source"]) == told
