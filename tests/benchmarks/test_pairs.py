"""Ratios of whole sessions to those of a recorded commit, and their budget."""

import json
import subprocess
from pathlib import Path

import pytest

from benchmarks import pairs
from benchmarks.measure import Cost, WrongRun
from benchmarks.pairs import BUDGET, RUNS, Ratios, over_budget, ratios


def test_a_ratio_is_the_median_of_those_inside_a_pair() -> None:
    slow = Cost(9.0, 0, 50), Cost(10.0, 0, 100)  # the machine was busy during this pair
    found = ratios(
        [slow, (Cost(0.5, 0, 90), Cost(1.0, 0, 100)), (Cost(0.8, 0, 70), Cost(1, 0, 100))]
    )

    assert found == Ratios(cpu=0.8, peak=0.7)


@pytest.mark.parametrize(
    ("one", "lines"),
    [
        (Ratios(0.525, 1.05), []),
        (Ratios(0.526, 1.0), ["a run, cpu: 0.526 x, and the budget is 0.500"]),
        (Ratios(0.1, 1.051), ["a run, peak: 1.051 x, and the budget is 1.000"]),
    ],
)
def test_cpu_and_memory_may_rise_by_five_per_cent(one: Ratios, lines: list[str]) -> None:
    assert over_budget({"a run": one}, {"a run": {"cpu": 0.5, "peak": 1.0}}) == lines


def test_the_budget_has_a_commit_and_every_run() -> None:
    budget = json.loads(BUDGET.read_text(encoding="utf-8"))

    assert len(budget["commit"]) == 40
    assert list(budget["ratios"]) == [run.name for run in RUNS]


def test_the_error_for_a_clone_without_the_commit_names_the_cure(tmp_path: Path) -> None:
    with pytest.raises(WrongRun, match=r"a shallow clone lacks it \(git fetch --unshallow\)$"):
        pairs.unpack("0" * 40, tmp_path)


def test_a_commit_is_unpacked_with_the_files_of_a_build(tmp_path: Path) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=BUDGET.parent, capture_output=True, text=True, check=False
    )
    if head.returncode:
        pytest.skip("the sources are no clone")
    pairs.unpack(head.stdout.strip(), tmp_path)

    assert any((tmp_path / "pytest_orchestrator/reports/compiled").glob("*.py"))
