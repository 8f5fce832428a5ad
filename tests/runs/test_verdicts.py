"""Verdicts of recipes and runs: failed, timeout, error and interrupted are words of their own."""

from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.events import CollectionFailed
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.summary import interruption, summary
from pytest_orchestrator.runs.verdicts import Outcome, Word, of_steps, worst
from tests.reports.sample_run import SampleRun


@pytest.mark.parametrize(
    ("outcomes", "word"),
    [
        ([("a", "failed", "timeout")], "timeout"),
        ([("a", "failed", "timeout"), ("b", "blocked", "", "a")], "timeout"),
        ([("a", "failed", "timeout"), ("b", "failed", "exit_code")], "failed"),
        ([("a", "failed", "timeout"), ("b", "error")], "timeout"),
        ([("a", "error"), ("b", "interrupted")], "error"),
        ([("a", "interrupted"), ("b", "blocked", "", "a"), ("c", "passed")], "interrupted"),
        ([("a", "passed"), ("b", "blocked", "", "of_another_recipe")], "blocked"),
        ([("a", "passed"), ("b", "running")], "running"),
        ([("a", "skipped")], "skipped"),
        ([], "empty"),
    ],
)
def test_a_recipe_has_the_worst_word_of_its_steps(outcomes: list[Any], word: Word) -> None:
    assert of_steps(Outcome(*one) for one in outcomes) == word


def test_several_recipes_have_the_worst_of_their_verdicts() -> None:
    assert worst(["passed", "timeout", "interrupted"]) == "timeout"
    assert worst([]) == "empty"


def run_of(folder: Path, *states: tuple[str, str, str], status: int | None) -> dict[str, Any]:
    run = SampleRun(folder)
    run.begin({name: [] for name, _, _ in states})
    for number, (name, state, kind) in enumerate(states):
        step = {"kind": kind, "reason": "r"} if kind else {}
        run.step(name, state, (number, number + 0.5), step=step)
    if status is not None:
        run.seal(status)
    else:
        run.cut()
    record = load_record(folder)
    return {**summary(record), "why": interruption(record)}


def test_failures_timeouts_crashes_and_kills_have_words_of_their_own(tmp_path: Path) -> None:
    slow, bad = ("a", "failed", "timeout"), ("b", "failed", "exit_code")
    good = ("c", "passed", "")

    assert run_of(tmp_path / "1", slow, good, status=1)["verdict"] == "timeout"
    assert run_of(tmp_path / "2", slow, bad, status=1)["verdict"] == "failed"
    assert run_of(tmp_path / "3", good, status=3)["verdict"] == "error"
    killed = run_of(tmp_path / "4", good, status=None)
    assert (killed["verdict"], killed["interruption"]) == ("interrupted", "killed")
    assert "interruption" not in run_of(tmp_path / "5", good, status=0)


def test_a_file_that_cannot_be_collected_is_an_error(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.add(1, CollectionFailed(path="recipes/bad.yaml", text="no", line=1, column=1, reason="no"))
    run.seal(2)

    assert summary(load_record(tmp_path / "run"))["verdict"] == "error"
