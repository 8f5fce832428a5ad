"""Annotations for GitHub Actions: positions, escaping, and their number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.reports.github import summary as github
from pytest_orchestrator.reports.github.summary import Mark
from tests.blocks import parsed

if TYPE_CHECKING:
    from pytest_orchestrator.runs.block import Block


def block(name: str, state: str = "passed", *needs: str, **more: Any) -> Block:
    path = more.pop("path", "recipes/psu.yaml")
    step = {"name": name, "node": f"{path}::{name}", "line": 7, "state": state, "needs": [*needs]}
    return parsed({"recipe": {"path": path}, "step": step | more})


def test_a_failure_is_annotated_at_its_position() -> None:
    place = {"path": "recipes/_part.yaml", "line": 23, "column": 35}
    failed = block("ripple", "failed", reason="61.4 mV, 22.8 %\nover", place=place)
    expected = block("known", "xfailed", reason="BUG-4")
    [mark] = github.marks([block("flash"), failed, expected, block("last", "blocked", "ripple")])
    assert mark.annotation("bench, a/") == (
        "::error file=bench%2C a/recipes/_part.yaml,line=23,col=35,"
        "title=recipes/psu.yaml%3A%3Aripple::61.4 mV, 22.8 %25%0Aover"
    )


def test_a_failure_without_position_is_annotated_at_its_step() -> None:
    assert github.marks([block("a", "error")]) == [
        Mark("recipes/psu.yaml", 7, 1, "recipes/psu.yaml::a", "error")
    ]


def marks(count: int, title: str) -> list[Mark]:
    return [Mark("x.yaml", line, 1, title, "wrong") for line in range(1, count + 1)]


@pytest.mark.parametrize(
    ("failures", "problems", "last"),
    [
        (12, 0, "::notice title=pytest-orchestrator::2 more failures are in the log of this step"),
        (9, 2, "::notice title=pytest-orchestrator::1 more failure is in the log of this step"),
        (8, 2, "::error file=x.yaml,line=2,col=1,title=problem::wrong"),
    ],
)
def test_ten_failures_are_annotated_and_the_others_counted(
    failures: int, problems: int, last: str
) -> None:
    lines = github.annotations(marks(failures, "step"), marks(problems, "problem"))
    assert sum(line.startswith("::error") for line in lines) == 10
    assert lines[0] == "::error file=x.yaml,line=1,col=1,title=step::wrong"
    assert lines[-1] == last


def test_a_run_without_failures_has_no_annotations() -> None:
    assert github.annotations([], []) == []
