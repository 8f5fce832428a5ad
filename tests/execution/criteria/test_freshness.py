"""A file that a step has written is told from one that was there before."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.execution.criteria import files
from pytest_orchestrator.execution.criteria.evidence import Stamp

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

HOUR = 3_600_000_000_000


def unmet(bench: Bench, cmd: str, path: str = "out.csv") -> str | None:
    success = {"files": [{"path": path, "fresh": True}]}
    (verdict,) = bench.result(bench.shell_step(cmd, parse="text", success=success)).verdicts
    return verdict.unmet


def old(bench: Bench, name: str = "out.csv") -> None:
    """Write a file an hour ago."""
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
def test_what_the_step_wrote_is_fresh(bench: Bench, cmd: str) -> None:
    old(bench)
    old(bench, "ref")
    assert unmet(bench, cmd) is None


@pytest.mark.parametrize("cmd", ["true", "cat out.csv", "chmod 600 out.csv"])
def test_what_was_there_before_is_not(bench: Bench, cmd: str) -> None:
    old(bench)
    told = unmet(bench, cmd)
    assert told is not None
    assert re.fullmatch(
        r"out\.csv was not written by this step: it is from \d{4}-\S+T\S+Z, 3,600\.\d\d s before "
        r"it began",
        told,
    )


def test_a_file_that_was_not_there_is_fresh_whatever_its_date(bench: Bench) -> None:
    assert unmet(bench, "touch -d '2001-01-01' out.csv") is None


def test_a_file_from_the_future_is_not_waited_for(bench: Bench) -> None:
    path = bench.write("out.csv", "")
    os.utime(path, (4e9, 4e9))
    began = time.monotonic()
    assert unmet(bench, "true") == (
        "out.csv was not written by this step: it is from 2096-10-02T07:06:40.000Z, in the future"
    )
    assert time.monotonic() - began < 60


def test_what_is_written_twice_within_a_tick_is_told_apart(bench: Bench) -> None:
    for _ in range(20):
        bench.write("out.csv", "abc")
        assert unmet(bench, "true") is not None
        bench.write("out.csv", "abc")
        assert unmet(bench, ": > out.csv; printf abc > out.csv") is None


@pytest.mark.parametrize(("whole_seconds", "least"), [(False, 0.0), (True, 1.4)])
def test_a_step_begins_in_a_later_tick_than_its_file_is_from(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, whole_seconds: bool, least: float
) -> None:
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)
    path = bench.write("out.csv", "abc")
    if whole_seconds:
        second = int(time.time()) * 1_000_000_000
        os.utime(path, ns=(second, second))
    # However long it takes to get here.
    now = path.stat().st_mtime + (0.5 if whole_seconds else 0.001)
    monkeypatch.setattr(time, "time", lambda: now)
    success = {"files": [{"path": "out.csv", "fresh": True}]}
    noted = files.noted(bench.step(type="shell", cmd="true", success=success), bench.root)
    stamp = noted["out.csv"]["out.csv"]
    assert max(least, 0.0) < sum(waited) <= files.lag(stamp)


def test_of_a_glob_every_file_must_be_fresh(bench: Bench) -> None:
    old(bench, "out/a.csv")
    told = unmet(bench, "touch out/b.csv", "out/*.csv")
    assert told is not None
    assert told.startswith("out/a.csv was not written by this step")
    assert unmet(bench, "touch out/*.csv", "out/*.csv") is None


def test_each_try_must_write_afresh(bench: Bench) -> None:
    assert unmet(bench, "touch out.csv") is None
    assert unmet(bench, "true") is not None


def test_nothing_is_noted_of_what_nobody_asks_for_nor_waited_for(
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
