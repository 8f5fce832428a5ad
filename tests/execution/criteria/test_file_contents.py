"""Criterion `files`: contents, size, digest and freshness of files."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Verdict, lasted
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria.simple import CheckInputs

if TYPE_CHECKING:
    from tests.execution.conftest import Bench


def checked(bench: Bench, **entry: Any) -> tuple[Verdict, ...]:
    step = bench.step(type="shell", cmd="true", success={"files": [entry]})
    ended = Ended(usage=lasted(1.0))
    return check.checked(CheckInputs(step, bench.context, ended, 0.0, bench.root, {}))


def unmet(bench: Bench, **entry: Any) -> list[str | None]:
    return [verdict.unmet for verdict in checked(bench, **entry)]


def test_each_rule_is_a_verdict_at_its_place(bench: Bench) -> None:
    bench.write("out/a.csv", "mean,12\n")
    entry = {"path": "out/a.csv", "contains": ["mean", "delta"], "min_bytes": 100}
    held, lacks, small = checked(bench, **entry)
    assert held.unmet is None
    assert lacks == Verdict(
        name="files",
        expected={"path": "out/a.csv", "contains": "delta"},
        place=Place(5, 68, 7),
        unmet="no 'delta' in out/a.csv, which ends with 'mean,12'",
    )
    assert small == Verdict(
        name="files",
        expected={"path": "out/a.csv", "min_bytes": 100},
        place=Place(5, 91, 3),
        measured=8,
        unit="bytes",
        distance=92,
        unmet="out/a.csv has 8 B, limit 100 B (92 B below, 92 %)",
    )


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"path": "out/a.csv"}, None),
        ({"path": "out/*.csv"}, None),
        ({"path": "out/b.csv"}, "out/b.csv is not there (did you mean 'a.csv'?)"),
        ({"path": "out/*.txt", "fresh": True}, "no file matches out/*.txt"),
        ({"path": "out"}, "out is a folder"),
        ({"path": "ou*", "min_bytes": 1}, "out is a folder"),
        ({"path": "pipe", "contains": "a"}, "pipe is no regular file"),
        ({"path": "out/a.csv", "matches": r"^mean,\d+$"}, None),
        (
            {"path": "out/a.csv", "matches": "^b"},
            "no match of '^b' in out/a.csv, which ends with 'c'",
        ),
        ({"path": "out/a.csv", "not_contains": "nan"}, None),
        (
            {"path": "out/a.csv", "not_contains": "mean"},
            "'mean' is in line 1 of out/a.csv: 'mean,12'",
        ),
        ({"path": "out/a.csv", "max_bytes": 9}, None),
        (
            {"path": "out/a.csv", "max_bytes": 8},
            "out/a.csv has 9 B, limit 8 B (1 B above, 12.5 %)",
        ),
        ({"path": "out/a.csv", "sha256": hashlib.sha256(b"mean,12\nc").hexdigest().upper()}, None),
        (
            {"path": "out/a.csv", "sha256": "0" * 64},
            "the sha256 of out/a.csv is 11140d1e4cdf…, expected 000000000000…",
        ),
        ({"path": "out/a.csv", "fresh": False}, None),
    ],
)
def test_an_unmet_rule_is_reported_with_its_reason(
    bench: Bench, entry: dict[str, Any], reason: str | None
) -> None:
    bench.write("out/a.csv", "mean,12\nc")
    os.mkfifo(bench.root / "pipe")
    assert unmet(bench, **entry) == [reason]


def test_each_file_that_matches_is_checked(bench: Bench) -> None:
    for name, text in {"a": "1", "b": "22", "c": "333", "d": "4444"}.items():
        bench.write(f"out/{name}.csv", text)
    assert unmet(bench, path="out/*.csv", max_bytes=2, min_bytes=1) == [
        "out/c.csv has 3 B, limit 2 B (1 B above, 50 %) (and 1 more of 4 files)",
        None,
    ]


def test_three_unmet_criteria_of_eight_are_all_reported(bench: Bench) -> None:
    step = bench.shell_step(
        "echo PASS | tee out.txt",
        parse="text",
        success={
            "exit_code": 0,
            "files_exist": ["out.txt"],
            "files_absent": ["out.txt"],
            "stdout_contains": ["PASS", "DONE"],
            "max_seconds": 60,
            "files": [{"path": "out.txt", "max_bytes": 1, "fresh": True}],
        },
    )
    result = bench.result(step)
    assert len(result.verdicts) == 8
    assert [(one.name, one.unmet) for one in result.unmet] == [
        ("files_absent", "out.txt is there"),
        ("stdout_contains", "no 'DONE' in stdout, which ends with 'PASS'"),
        ("files", "out.txt has 5 B, limit 1 B (4 B above, 400 %)"),
    ]


def test_rules_may_have_expressions(bench: Bench) -> None:
    bench.context.set("dut", {"name": "a", "least": 3, "fresh": False})
    entry = {
        "path": "out/${{ ctx.dut.name }}.csv",
        "contains": ["${{ stdout }}", "b"],
        "min_bytes": "${{ ctx.dut.least }}",
        "fresh": "${{ ctx.dut.fresh }}",
    }
    step = bench.shell_step("printf x", parse="text", success={"files": [entry]})
    bench.write("out/a.csv", "xb")
    assert sorted((list(one.expected)[1], one.unmet) for one in bench.result(step).verdicts) == [  # type: ignore[arg-type]
        ("contains", None),
        ("contains", None),
        ("min_bytes", "out/a.csv has 2 B, limit 3 B (1 B below, 33.3 %)"),
    ]


def test_a_file_that_the_step_code_names_is_fresh_by_its_date(bench: Bench) -> None:
    entry = {"path": "${{ stdout }}", "fresh": True}
    step = bench.shell_step("printf new; touch new", parse="text", success={"files": [entry]})
    (verdict,) = bench.result(step).verdicts
    assert verdict.unmet is None
    old = bench.write("old", "")
    os.utime(old, (1e9, 1e9))
    step = bench.shell_step("printf old", parse="text", success={"files": [entry]})
    (verdict,) = bench.result(step).verdicts
    assert (verdict.unmet or "").startswith(
        "old was not written by this step: it is from 2001-09-09"
    )
