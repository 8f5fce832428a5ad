"""Verdicts of recipes and runs: failed, timeout, error and interrupted are words of their own."""

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_orchestrator.core.events import (
    CollectionFailed,
    InstrumentOpened,
    InstrumentSafe,
    RecipeStarted,
)
from pytest_orchestrator.runs.history.build import past_run
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.record import RunRecord
from pytest_orchestrator.runs.summary import cause_of, interruption, summary, verdict_of
from pytest_orchestrator.runs.verdicts import (
    NAMED,
    STATES,
    Outcome,
    Word,
    is_good,
    of_run,
    of_steps,
    worst,
)
from tests.reports.sample_run import RECIPE, SampleRun


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
        ([("a", "passed"), ("b", "conditional pass")], "conditional pass"),
        ([("a", "conditional pass"), ("b", "by hand")], "by hand"),
        ([("a", "xfailed"), ("b", "blocked", "", "a"), ("c", "passed")], "passed"),
        ([("a", "passed"), ("b", "not run")], "interrupted"),
        ([("a", "not run")], "not run"),
        ([("a", "skipped")], "skipped"),
        ([("a", "passed"), ("b", "not run", "", "", "", True)], "by hand"),
        ([("a", "failed"), ("b", "passed", "", "", "", True)], "failed"),
        ([("a", "not run"), ("b", "passed", "", "", "", True)], "interrupted"),
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


@pytest.mark.parametrize(
    ("status", "reason", "verdict"),
    [
        (7, "lab closed", "interrupted"),
        (2, "lab closed", "interrupted"),
        (1, "lab closed", "interrupted"),
        (3, "lab closed", "interrupted"),
        (7, "", "failed"),
        (1, "", "failed"),
        (3, "", "error"),
        (0, "lab closed", "passed"),
    ],
)
def test_an_exit_with_a_reason_is_an_interruption_whatever_its_status(
    tmp_path: Path, status: int, reason: str, verdict: Word
) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.step("a", "passed", (0, 0.5))
    run.seal(status, reason=reason)
    record = load_record(tmp_path / "run")

    assert summary(record)["verdict"] == verdict
    assert interruption(record) == (reason if verdict == "interrupted" else "")


def unsafe_run(folder: Path, owner: str = "") -> RunRecord:
    """Return a run of a recipe that passed, and a safe state of `psu` that was not reached."""
    run = SampleRun(folder)
    run.begin({"a": []})
    run.add(0.1, InstrumentOpened(recipe=RECIPE, instrument="psu", resource="r", simulation="f"))
    run.step("a", "passed", (0.2, 0.5))
    run.add(1, InstrumentSafe(recipe=RECIPE, instrument="psu", reason="no answer", run=owner))
    run.seal(1)
    return load_record(folder)


def test_a_safe_state_that_was_not_reached_is_an_error_of_its_recipe(tmp_path: Path) -> None:
    record = unsafe_run(tmp_path / "run")
    [about] = cast("Any", summary(record)["recipes"])

    assert (verdict_of(record.recipes[RECIPE]), cause_of(record.recipes[RECIPE])) == (
        "error",
        "no answer",
    )
    assert (about["verdict"], about["unsafe"]) == ("error", {"psu": "no answer"})
    assert past_run(record, "run").recipes[0].cause == "no answer"


def test_a_debt_of_an_earlier_run_is_an_error_of_no_recipe(tmp_path: Path) -> None:
    record = unsafe_run(tmp_path / "run", owner="earlier")

    assert verdict_of(record.recipes[RECIPE]) == "passed"
    assert summary(record)["verdict"] == "failed"  # the session is red, and no recipe is


def test_an_instrument_that_an_earlier_recipe_opened_is_in_use_in_the_next_one(
    tmp_path: Path,
) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.add(0.1, InstrumentOpened(recipe=RECIPE, instrument="psu", resource="r", simulation="f"))
    run.add(0.2, RecipeStarted(recipe="second", about={}, steps=()))
    run.add(0.3, InstrumentSafe(recipe="second", instrument="psu"))
    run.add(0.4, RecipeStarted(recipe="third", about={}, steps=()))
    run.seal(0)
    record = load_record(tmp_path / "run")

    opened = {key: [*recipe.opened] for key, recipe in record.recipes.items()}
    assert opened == {RECIPE: ["psu"], "second": ["psu"], "third": []}
    assert summary(record)["simulated"] == ["psu"]
    simulated = [one.simulated for one in past_run(record, "run").recipes]
    assert simulated == [("psu",), ("psu",), ()]


WORDS = tuple(word for word, one in STATES.items() if one.rank >= 0)


@given(st.lists(st.sampled_from(WORDS)), st.lists(st.sampled_from(WORDS)))
@example([], ["not run"])
@example(["blocked"], ["passed", "not run"])
def test_a_verdict_is_good_only_if_each_part_of_it_is_good_or_did_not_count(
    some: list[Word], others: list[Word]
) -> None:
    word = worst([*some, *others])

    assert worst([worst(some), worst(others)]) == word
    if is_good(word):
        assert {*some, *others} <= {"passed", "conditional pass", "skipped", "empty"}
    assert of_run(some, others) == of_run(some, (), others) == word


def test_a_state_that_is_unknown_is_never_good() -> None:
    assert of_steps([Outcome("a", "passed"), Outcome("b", "glorious")]) == "error"
    assert of_steps([Outcome("a", "passed"), Outcome("b", "marginal")]) == "error"


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(STATES)),
            st.sampled_from(["", "timeout", "exit_code"]),
            st.sampled_from(["", "s0", "s1", "elsewhere"]),
        ),
        max_size=5,
    )
)
def test_a_step_whose_name_does_not_count_may_stand_for_all_with_its_state(
    drawn: list[tuple[str, str, str]],
) -> None:
    steps = [Outcome(f"s{at}", *one) for at, one in enumerate(drawn)]
    plain = {one.state for one in steps} - NAMED
    few = [one for one in steps if one.state in NAMED]
    assert of_steps([*(Outcome("", state) for state in plain), *few]) == of_steps(steps)
