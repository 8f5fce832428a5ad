"""Steps with `foreach`: the loop over the elements, and the result of the whole step."""

from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.core.result import StepResult
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.attempt_context import RunCallbacks
from pytest_orchestrator.execution.notifications import (
    AttemptStarted,
    ElementFinished,
    Finished,
    RetryScheduled,
)
from pytest_orchestrator.execution.scheduling.elements import list_digest
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.recipe import load
from pytest_orchestrator.runs.resume.elements import KeptElement, KeptElements
from tests.execution.conftest import Bench

ECHO = 'echo "{\\"status\\": \\"ok\\", \\"v\\": $V}"'


def run_of(bench: Bench, keys: str, cmd: str = ECHO) -> RecipeRun:
    """Return a run of a recipe whose step `s` gets its element in the variable `V`."""
    lines = [
        "steps:",
        "  - name: s",
        "    type: shell",
        f"    cmd: '{cmd}'",
        *(f"    {line}" for line in keys.splitlines()),
        *([] if "args:" in keys else ['    args: {V: "${{ item }}"}']),
        "  - {name: after, type: shell, cmd: 'true', parse: text, if: steps.s}",
        "",
    ]
    bench.recipe("\n".join(lines))
    recipe = load(bench.root / "recipes" / "x.yaml", root=bench.root)
    return RecipeRun(recipe, bench.context, bench.attempt)


def result_of(bench: Bench, keys: str, cmd: str = ECHO) -> StepResult:
    run = run_of(bench, keys, cmd)
    return run.result(run.recipe.step("s"))


def states(result: StepResult) -> list[str]:
    return [one.state for one in result.elements or ()]


class Journal(RunCallbacks):
    """Callbacks that keep the recorded events as words."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def record(self, event: Any) -> None:
        self.events.append(event)

    @property
    def words(self) -> list[str]:
        words = []
        for event in self.events:
            match event:
                case AttemptStarted():
                    words.append(f"start {event.element}.{event.attempt}")
                case RetryScheduled():
                    words.append(f"again {event.element}.{event.attempt}")
                case ElementFinished():
                    words.append(f"{event.element.state} {event.element.index}")
                case Finished():
                    words.append(event.result.outcome)
        return words


@pytest.fixture
def journal(bench: Bench) -> Journal:
    """The recorded events of the steps of a test."""
    callbacks = Journal()
    bench.configure(callbacks=callbacks)
    return callbacks


def test_the_step_code_runs_for_each_element_of_a_list_that_exists_only_in_the_run(
    bench: Bench,
) -> None:
    bench.context.set("psu.points_v1", [1, 2.5, 12])
    keys = (
        "foreach: ctx.psu.points_v1\n"
        'args: {V: "${{ item * 2 + index }}"}\n'
        "measurements: {volts: {value: result.v, high: 30}}\n"
        'outputs: {psu.volts_v1: "${{ result.v }}", psu.raw_v1: {from: stdout, regex: "v.: (.*)}"}}'
    )
    result = result_of(bench, keys)
    assert (result.outcome, states(result)) == ("passed", ["passed"] * 3)
    assert result.ended is not None
    assert result.ended.value == [{"status": "ok", "v": volts} for volts in (2, 6.0, 26)]
    # Each key of `outputs` is one list, written once.
    assert bench.context.get("psu.volts_v1") == [2, 6.0, 26]
    assert bench.context.get("psu.raw_v1") == ["2", "6.0", "26"]
    assert len(bench.context.get_history("psu.volts_v1")) == 1
    assert [[one.value for one in each.result.measurements] for each in result.elements or ()] == [
        [2],
        [6.0],
        [26],
    ]
    assert result.elements is not None
    logs = sorted(path.name for path in (bench.root / "logs").iterdir())
    assert logs == ["s.0.1.stdout", "s.1.1.stdout", "s.2.1.stdout"]


def test_steps_of_expressions_show_a_loop_as_lists(bench: Bench) -> None:
    keys = "foreach: [1, 2]\nmeasurements: {volts: {value: result.v, high: 1, allow_fail: true}}"
    run = run_of(bench, keys)
    step = run.recipe.step("s")
    run.result(step)
    for trimmed in (False, True):  # a run keeps less of a result after its report
        if trimmed:
            run.trim_result(step)
        names = run.scope.before(run.recipe.step("after"), bench.context, 1, {})
        seen = dict(names["steps"]["s"])
        assert seen.pop("seconds") > 0
        assert seen == {
            "outcome": "passed",
            "result": [{"status": "ok", "v": 1}, {"status": "ok", "v": 2}],
            "exit_code": [0, 0],
            "kind": None,
            "attempts": [1, 1],
            "stderr": ["", ""],
            "stdout": ['{"status": "ok", "v": 1}\n', '{"status": "ok", "v": 2}\n'],
            "measurements": [
                {"volts": {"value": 1, "verdict": "pass"}},
                {"volts": {"value": 2, "verdict": "fail"}},
            ],
        }


def test_all_elements_run_and_the_step_fails_as_its_first_failed_element(
    bench: Bench, journal: Journal
) -> None:
    keys = "foreach: [1, 5, 2, 7]\nmeasurements: {volts: {value: result.v, high: 3, unit: V}}"
    result = result_of(bench, keys)
    assert states(result) == ["passed", "failed", "passed", "failed"]
    assert result.failure is not None
    assert result.failure.kind == "criterion"
    assert result.failure.reason == (
        "[1] 5: volts = 5 V, max 3 V (2 V above, 66.7 %) (and 1 more of 4 elements failed)"
    )
    assert journal.words == [
        *("start None.1", "start 0.1", "passed 0", "start 1.1", "failed 1"),
        *("start 2.1", "passed 2", "start 3.1", "failed 3", "failed"),
    ]


def test_fail_fast_ends_at_the_first_failed_element(bench: Bench) -> None:
    keys = "foreach: [1, 5, 2, 7]\nfail_fast: true\nsuccess: {assert: [item < 3]}"
    result = result_of(bench, keys)
    assert states(result) == ["passed", "failed", "not run", "not run"]
    assert (result.elements or ())[3].result.reason == "an earlier element failed (fail_fast)"


def test_each_element_has_its_own_retry_and_timeout(bench: Bench, journal: Journal) -> None:
    keys = "foreach: [a, b]\nparse: text\nretry: {attempts: 2}\ntimeout: 20s"
    result = result_of(bench, keys, "test $V = a || test -e tried || { touch tried; false; }")
    assert states(result) == ["passed", "passed"]
    assert [one.result.attempt for one in result.elements or ()] == [1, 2]
    assert journal.words[3:7] == ["start 1.1", "again 1.1", "start 1.2", "passed 1"]
    late = result_of(bench, "foreach: [0, 9]\nparse: text\ntimeout: 300ms", "sleep $V")
    assert states(late) == ["passed", "failed"]
    assert late.failure is not None
    assert late.failure.kind == "timeout"


def test_outputs_of_a_failed_element_are_null_in_the_list(bench: Bench) -> None:
    keys = 'foreach: [1, 2, 3]\noutputs: {k_v1: "${{ item }}"}'
    result_of(bench, keys, f"test $V != 2; {ECHO}")
    assert bench.context.get("k_v1") == [1, None, 3]


def test_outputs_of_attempts_are_written_only_in_the_list(bench: Bench) -> None:
    keys = (
        'foreach: [1, 2]\noutputs: {k_v1: "${{ item }}"}\nretry: {attempts: 2, until: attempt == 2}'
        "\nsuccess: {assert: [ctx.k_v1 == item], ctx_has_keys: [k_v1]}"
    )
    assert result_of(bench, keys).outcome == "passed"
    assert [one["new"] for one in bench.context.get_history("k_v1")] == [[1, 2]]


@pytest.mark.parametrize(
    ("items", "cmd", "outcome", "reason"),
    [
        ("[]", "exit 3", "passed", "foreach: the list is empty"),
        ("[1, 2]", "exit 77", "skipped", "exit code 77"),
        ("[77, 0]", "exit $V", "passed", ""),
    ],
)
def test_a_loop_over_nothing_passes_and_one_that_skips_all_is_skipped(
    bench: Bench, items: str, cmd: str, outcome: str, reason: str
) -> None:
    keys = (
        f'foreach: {items}\nparse: text\nskip_exit_code: 77\noutputs: {{k_v1: "${{{{ item }}}}"}}'
    )
    result = result_of(bench, keys, cmd)
    assert result.outcome == outcome
    assert reason in result.reason
    if items == "[]":
        assert bench.context.get("k_v1") == []
    elif outcome == "skipped":
        assert "k_v1" not in bench.context


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("text", "foreach is text, should be a list"),
        (None, "foreach is null, should be a list"),
        ({"a": 1}, "foreach is a mapping, should be a list"),
        ([0] * 10_001, "foreach has 10,001 elements; 10,000 are the most"),
    ],
)
def test_a_value_that_is_no_list_fails_the_step_at_its_place(
    bench: Bench, value: Any, reason: str
) -> None:
    bench.context.set("k", value)
    result = result_of(bench, "foreach: ctx.k")
    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == ("validation", reason)
    assert result.failure.place is not None
    assert result.failure.place.line == 5
    assert result.elements is None


def test_an_expression_without_a_value_fails_only_its_element(bench: Bench) -> None:
    result = result_of(bench, 'foreach: [{v: 1}, {w: 1}]\nargs: {V: "${{ item.v }}"}')
    assert states(result) == ["passed", "failed"]
    assert result.failure is not None
    assert result.failure.kind == "validation"
    assert result.failure.reason.startswith('[1] {"w": 1}: ')


def test_if_is_evaluated_once_and_a_false_one_skips_the_step(bench: Bench) -> None:
    result = result_of(bench, "foreach: ctx.nothing\nif: 1 > 2")
    assert (result.outcome, result.elements) == ("skipped", None)


def test_an_interrupt_ends_the_loop_at_its_element(
    bench: Bench, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(event: Any) -> None:
        journal.events.append(event)
        if isinstance(event, AttemptStarted) and event.element == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(journal, "record", interrupt)
    run = run_of(bench, 'foreach: [1, 2, 3]\noutputs: {k_v1: "${{ item }}"}')
    with pytest.raises(KeyboardInterrupt):
        run.result(run.recipe.step("s"))
    result = run.results["s"]
    assert result.is_interrupted
    assert states(result) == ["passed", "interrupted", "not run"]
    assert result.failure is not None
    assert result.failure.reason.endswith("Ctrl-C, at [1] 2 of 3")
    assert "k_v1" not in bench.context


def test_kept_elements_do_not_run_again_and_their_changes_are_made_again(
    bench: Bench, journal: Journal
) -> None:
    items = [1, 2, 3]
    changes = (
        {"key": "seen", "op": "append", "new": "old"},
        {"key": "count", "op": "increment", "old": 4, "new": 6},
        {"key": "last", "op": "set", "new": 2},
    )
    kept = KeptElement(
        StepResult(step="s", outcome="passed", meets=True, restored="earlier"),
        {"k_v1": 20},
        changes,
    )
    for digest, wanted in (
        (list_digest(items, Masker()), ["passed", "restored", "passed"]),
        ("of another list", ["passed"] * 3),
    ):
        bench.context.restore({"version": 1, "values": {"count": 1}, "history": {}})
        run = run_of(bench, 'foreach: [1, 2, 3]\noutputs: {k_v1: "${{ item }}"}')
        run.kept_elements["s"] = KeptElements(digest, {1: kept})
        assert states(run.result(run.recipe.step("s"))) == wanted
        values = bench.context.to_dict()
        is_kept = "restored" in wanted
        assert values["k_v1"] == [1, 20 if is_kept else 2, 3]
        assert (values.get("seen"), values["count"]) == ((["old"], 3) if is_kept else (None, 1))


def test_the_digest_of_a_list_reveals_no_secret() -> None:
    masker = Masker()
    masker.add("hunter2secret")
    assert list_digest(["hunter2secret"], masker) == list_digest(["***"], masker)
    assert list_digest([{"a": 1, "b": 2}], masker) == list_digest([{"b": 2, "a": 1}], masker)
    assert list_digest([1], masker) != list_digest([1.5], masker)


def test_the_time_of_the_recipe_ends_a_loop_at_its_element(bench: Bench) -> None:
    run = run_of(bench, "foreach: [0, 30, 0]\nparse: text", "sleep $V")
    bench.recipe(f"timeout: 1s\n{run.recipe.text}")
    run = RecipeRun(
        load(bench.root / "recipes" / "x.yaml", root=bench.root), bench.context, bench.attempt
    )
    result = run.result(run.recipe.step("s"))
    assert states(result) == ["passed", "failed", "not run"]
    assert result.failure is not None
    assert result.failure.reason.startswith("[1] 30: timeout of the recipe: its 1 s are over")
    assert (result.elements or ())[2].result.reason == "the time of the recipe is over"


def test_the_time_of_the_recipe_has_priority_over_a_failed_element(bench: Bench) -> None:
    run = run_of(bench, "foreach: [9, 30]\nparse: text", "test $V = 30 && sleep 30")
    bench.recipe(f"timeout: 500ms\n{run.recipe.text}")
    run = RecipeRun(
        load(bench.root / "recipes" / "x.yaml", root=bench.root), bench.context, bench.attempt
    )
    result = run.result(run.recipe.step("s"))
    assert states(result) == ["failed", "failed"]
    assert result.is_cut_off
    assert result.failure is not None
    assert result.failure.reason.startswith("[1] 30: timeout of the recipe: its 0.5 s are over")


def test_each_element_has_a_folder_for_its_artifacts(bench: Bench) -> None:
    bench.configure(artifacts=bench.root / "kept")
    result = result_of(
        bench, "foreach: [a, b]\nparse: text\nartifacts: [plot.csv]", "echo $V > plot.csv"
    )
    copies = [Path(one.path) for one in result.artifacts]
    assert [one.relative_to(bench.root / "kept").as_posix() for one in copies] == [
        "s.0/plot.csv",
        "s.1/plot.csv",
    ]
    assert [one.read_text() for one in copies] == ["a\n", "b\n"]
