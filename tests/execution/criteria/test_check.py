"""Evaluation of all criteria of a step, and the reasons of those that do not hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Verdict, lasted
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria.simple import CheckInputs

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Step
    from tests.execution.conftest import Bench


def checked(bench: Bench, step: Step) -> tuple[Verdict, ...]:
    ended = Ended(usage=lasted(1.0))
    return check.checked(CheckInputs(step, bench.context, ended, 0.0, bench.root, {}))


def unmet(bench: Bench, **success: Any) -> list[str | None]:
    step = bench.step(type="shell", cmd="true", success=success)
    return [verdict.unmet for verdict in checked(bench, step)]


def test_a_verdict_has_the_wanted_value_and_its_place(bench: Bench) -> None:
    success = {"ctx_has_keys": ["a"], "exit_code": 0, "files_exist": ["recipes"]}
    step = bench.step(type="shell", cmd="true", success=success)
    bench.context.set("a", 1)
    assert checked(bench, step) == (
        Verdict(name="ctx_has_keys", expected="a", place=Place(5, 32, 3)),
        Verdict(name="files_exist", expected="recipes", place=Place(5, 70, 9)),
    )


def test_keys_are_resolved_as_paths(bench: Bench) -> None:
    bench.context.set("dut.ports", [{"id": None}])
    held = ["dut", "dut.ports", "dut.ports.0", "dut.ports.0.id"]
    assert unmet(bench, ctx_has_keys=held) == [None] * 4


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ([], "; it has none at all"),
        (["b"], "; it has b"),
        (["z", "b", "c", "d", "e", "f", "g"], "; it has z, b, c, d, e and 2 more"),
        (["dut.firmware_v2", "b"], " (did you mean 'dut.firmware_v2'?)"),
    ],
)
def test_a_missing_key_is_reported_with_the_existing_ones(
    bench: Bench, keys: list[str], reason: str
) -> None:
    for key in keys:
        bench.context.set(key, 1)
    assert unmet(bench, ctx_has_keys=["dut.firmware_v1"]) == [
        f"the context has no key 'dut.firmware_v1'{reason}"
    ]


def test_a_key_that_must_be_missing_is_reported_with_its_writer(bench: Bench) -> None:
    bench.context.bound("login").set("session", {"token": 1})
    assert unmet(bench, ctx_lacks_keys=["sess", "session", "session.token"]) == [
        None,
        "the context has the key 'session', written by login",
        "the context has the key 'session.token'",
    ]


@pytest.mark.parametrize(
    ("names", "reasons"),
    [
        (["a.tmp", "*.log", "out/*.tmp"], [None, None, None]),
        (["out/a.csv"], ["out/a.csv is there"]),
        (["out"], ["out is there"]),
        (["out/[ab].csv"], ["out/[ab].csv matches out/a.csv, out/b.csv"]),
        (["out/*"], ["out/* matches out/a.csv, out/b.csv, out/c"]),
    ],
)
def test_a_file_that_must_be_missing_is_reported(
    bench: Bench, names: list[str], reasons: list[str | None]
) -> None:
    for name in ("a.csv", "b.csv", "c"):
        bench.write(f"out/{name}", "")
    (bench.root / "out" / "dangling").symlink_to("nowhere")
    assert unmet(bench, files_absent=names) == reasons


def test_a_criterion_whose_check_raises_does_not_hold(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("no\nbench")

    monkeypatch.setitem(check.CHECKS, "files_exist", broken)
    assert unmet(bench, files_exist=["a"], files_absent=["b"]) == [
        "cannot be checked: OSError: no bench",
        None,
    ]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("out/report.csv", None),
        ("out", None),
        ("out/*.csv", None),
        ("**/deep.json", None),
        ("out/odd[1].txt", None),
        ("out/../out/report.csv", None),
        ("out/reports.csv", "out/reports.csv is not there (did you mean 'report.csv'?)"),
        ("out/zzz", "out/zzz is not there"),
        ("in/report.csv", "in/report.csv is not there, nor is its folder"),
        ("out/*.json", "no file matches out/*.json"),
    ],
)
def test_files_are_paths_or_globs_relative_to_the_rootdir(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, name: str, reason: str | None
) -> None:
    monkeypatch.chdir("/")
    for path in ("out/report.csv", "out/a/b/deep.json", "out/odd[1].txt"):
        bench.write(path, "")
    assert unmet(bench, files_exist=[name]) == [reason]


def test_an_absolute_path_is_used_unchanged(bench: Bench) -> None:
    path = bench.write("out/report.csv", "")
    assert unmet(bench, files_exist=[str(path), f"{path.parent}/*.csv"]) == [None, None]


def test_a_rootdir_with_brackets_in_its_name_is_no_glob(bench: Bench) -> None:
    bench.root /= "project [2]"
    bench.write("out/report.csv", "")
    assert unmet(bench, files_exist=["out/*.csv"]) == [None]


def test_all_criteria_are_checked_even_if_the_first_does_not_hold(bench: Bench) -> None:
    assert unmet(bench, files_exist=["a", "b"], ctx_has_keys=["c"]) == [
        "a is not there",
        "b is not there",
        "the context has no key 'c'; it has none at all",
    ]


def test_a_broken_link_counts_as_a_missing_file(bench: Bench) -> None:
    (bench.root / "dang.txt").symlink_to("nowhere")
    (bench.root / "loop.txt").symlink_to("loop.txt")
    broken = "which leads to nothing"
    assert unmet(bench, files_exist=["dang.txt", "*.txt", "loop.txt"]) == [
        f"dang.txt is a link to 'nowhere', {broken}",
        f"no file matches *.txt: dang.txt is a link to 'nowhere', {broken}",
        f"loop.txt is a link to 'loop.txt', {broken}",
    ]
    assert unmet(bench, files_absent=["dang.txt", "*.txt"]) == [None, None]
    reasons = [f"dang.txt is a link to 'nowhere', {broken}"]
    assert unmet(bench, files=[{"path": "dang.txt", "min_bytes": 0}]) == reasons


def test_a_link_to_a_file_counts_as_a_file(bench: Bench) -> None:
    bench.write("file", "x")
    (bench.root / "link.txt").symlink_to("file")
    assert unmet(bench, files_exist=["link.txt", "*.txt"]) == [None, None]
    assert unmet(bench, files_absent=["link.txt", "l*.txt"]) == [
        "link.txt is there",
        "l*.txt matches link.txt",
    ]
