"""Rule `fresh`: a file that the step has written differs from one that existed before."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.criteria import files
from pytest_orchestrator.execution.criteria.simple import Stamp

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

HOUR = 3_600_000_000_000


def unmet(bench: Bench, cmd: str, path: str = "out.csv") -> str | None:
    success = {"files": [{"path": path, "fresh": True}]}
    (verdict,) = bench.result(bench.shell_step(cmd, parse="text", success=success)).verdicts
    return verdict.unmet


def old(bench: Bench, name: str = "out.csv") -> None:
    """Write a file with a modification time one hour ago."""
    path = bench.write(name, "abc")
    then = path.stat().st_mtime_ns - HOUR
    os.utime(path, ns=(then, then))


@pytest.mark.parametrize(
    "cmd",
    [
        "printf abc > out.csv",
        "printf d >> out.csv",
        "touch out.csv",
        "printf abc > new && touch -d '2001-01-01' new && mv new out.csv",
        "printf abcd > out.csv && touch -r ref out.csv",
    ],
)
def test_a_file_that_the_step_wrote_is_fresh(bench: Bench, cmd: str) -> None:
    old(bench)
    old(bench, "ref")
    assert unmet(bench, cmd) is None


@pytest.mark.parametrize("cmd", ["true", "cat out.csv", "chmod 600 out.csv"])
def test_an_unchanged_file_is_not_fresh(bench: Bench, cmd: str) -> None:
    old(bench)
    reason = unmet(bench, cmd)
    assert reason is not None
    assert re.fullmatch(
        r"out\.csv was not written by this step: it is from \d{4}-\S+T\S+Z, 3,600\.\d\d s before "
        r"it began",
        reason,
    )


def test_a_new_file_is_fresh_with_any_date(bench: Bench) -> None:
    assert unmet(bench, "touch -d '2001-01-01' out.csv") is None


def test_a_file_from_the_future_is_not_waited_for(bench: Bench) -> None:
    path = bench.write("out.csv", "")
    os.utime(path, (4e9, 4e9))
    started = time.monotonic()
    assert unmet(bench, "true") == (
        "out.csv was not written by this step: it is from 2096-10-02T07:06:40.000Z, in the future"
    )
    assert time.monotonic() - started < 60


def test_two_writes_within_a_tick_are_distinguished(bench: Bench) -> None:
    for _ in range(20):
        bench.write("out.csv", "abc")
        assert unmet(bench, "true") is not None
        bench.write("out.csv", "abc")
        assert unmet(bench, ": > out.csv; printf abc > out.csv") is None


@pytest.mark.parametrize(("whole_seconds", "least"), [(False, 0.0), (True, 1.4)])
def test_a_step_starts_in_a_later_tick_than_the_last_write(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, whole_seconds: bool, least: float
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    path = bench.write("out.csv", "abc")
    if whole_seconds:
        second = int(time.time()) * 1_000_000_000
        os.utime(path, ns=(second, second))
    # A fixed time, because a loaded machine may reach this line late.
    now = path.stat().st_mtime + (0.5 if whole_seconds else 0.001)
    monkeypatch.setattr(time, "time", lambda: now)
    success = {"files": [{"path": "out.csv", "fresh": True}]}
    before = files.noted(bench.step(type="shell", cmd="true", success=success), bench.root)
    stamp = before["out.csv"]["out.csv"]
    assert max(least, 0.0) < sum(waited) <= files.lag(stamp)


def test_every_file_of_a_glob_must_be_fresh(bench: Bench) -> None:
    old(bench, "out/a.csv")
    reason = unmet(bench, "touch out/b.csv", "out/*.csv")
    assert reason is not None
    assert reason.startswith("out/a.csv was not written by this step")
    assert unmet(bench, "touch out/*.csv", "out/*.csv") is None


def test_each_run_of_a_step_must_write_the_file_again(bench: Bench) -> None:
    assert unmet(bench, "touch out.csv") is None
    assert unmet(bench, "true") is not None


def test_a_step_without_a_fresh_rule_does_not_wait_for_a_tick(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    old(bench)
    step = bench.shell_step("true", success={"files": [{"path": "out.csv", "min_bytes": 1}]})
    assert files.noted(step, bench.root) == {}
    assert waited == []


def test_file_systems_of_whole_seconds_lag_more() -> None:
    assert files.lag(Stamp(1, 1, 1, 5_000_000_000)) == 2.0
    assert files.lag(Stamp(1, 1, 1, 5_000_000_001)) == 0.011
