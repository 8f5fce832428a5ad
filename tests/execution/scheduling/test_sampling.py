"""Sampled values: taken while the watched steps run, with limits that may abort the recipe."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from benchmarks.faults import PATIENCE
from pytest_orchestrator.execution.notifications import Sampled
from pytest_orchestrator.execution.scheduling import sampling
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.scheduling.sampling import CurveRecorder
from pytest_orchestrator.execution.scheduling.tasks import StepDependencies
from tests.execution.conftest import outcomes

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.lanes.lane import Slot
    from tests.execution.conftest import Bench

THREE = "until [ $(wc -l < taken) -ge 3 ]; do sleep 0.005; done"
"""A command that waits for three samples of `COUNT`."""
COUNT = "echo x >> taken; wc -l < taken"
BEGUN = "until [ -e begun ]; do sleep 0.005; done"
FOREVER = "echo begun >> ran; while :; do sleep 0.01; done"

Run = Callable[..., RecipeRun]


@pytest.fixture
def run_of(bench: Bench, slot: Slot) -> Run:
    """Return a factory of runs of a recipe with one sampled value `t` and some shell steps."""
    bench.write("taken", "")

    def run_of(
        sampling: dict[str, Any], *, jobs: int = 1, final: str = "true", **steps: str
    ) -> RecipeRun:
        keys = "type: shell, parse: text"
        lines = [
            f"  - {{name: {name}, {keys}, cmd: {json.dumps(cmd)}}}" for name, cmd in steps.items()
        ]
        recipe = bench.recipe(
            "\n".join(
                [
                    f"sampling: {{t: {json.dumps(sampling)}}}",
                    "steps:",
                    *lines,
                    "finally:",
                    f"  - {{name: off, {keys}, cmd: {json.dumps(final)}}}",
                ]
            )
        )
        if jobs == 1:
            return RecipeRun(recipe, bench.context, bench.attempt)
        slots = [slot, *(slot.new_slot() for _ in range(jobs - 1))]
        run = RecipeRun(recipe, bench.context, bench.attempt, slots=slots)
        run.workers.plan(
            {step.name: StepDependencies(step.needs, step.after) for step in recipe.steps}
        )
        return run

    return run_of


def sampled(run: RecipeRun) -> StepResult:
    (result,) = run.finish()
    assert result.step == "t"
    return result


def measured(result: StepResult) -> dict[str, tuple[Any, str]]:
    return {one.name: (one.value, one.verdict) for one in result.measurements}


def test_samples_of_a_running_step_become_a_curve_and_three_measurements(
    bench: Bench, run_of: Run
) -> None:
    events: list[Sampled] = []
    bench.configure(record=lambda one: events.append(one) if isinstance(one, Sampled) else None)
    run = run_of({"cmd": COUNT, "every": 0.01, "unit": "V", "low": 1, "high": 99}, s=THREE)

    assert outcomes(run, "s", "off") == ["passed", "passed"]
    result = sampled(run)

    assert result.outcome == "passed"
    curve = result.curve
    assert curve is not None
    values = [value for _, value in curve.points]
    assert values == [*range(1, curve.samples + 1)]
    assert [one.value for one in events] == values
    seconds = [round(one.moment - result.started, 3) for one in events]
    assert seconds == [second for second, _ in curve.points]
    assert not any(one.is_outside for one in events)
    assert measured(result) == {
        "min": (1, "pass"),
        "mean": (sum(values) / len(values), "pass"),
        "max": (curve.samples, "pass"),
    }
    lowest, _, highest = result.measurements
    assert (lowest.margin, lowest.unit, lowest.low, lowest.high) == (0, "V", 1, 99)
    assert highest.margin == min(curve.samples - 1, 99 - curve.samples)


def test_a_sample_that_hangs_is_cut_soon_after_the_last_step(
    run_of: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling, "_LAST", 0.2)
    monkeypatch.setattr(sampling, "_MIN_TIMEOUT", 600.0)
    run = run_of({"cmd": "echo >> begun; sleep 500; echo 1", "every": 0.1}, s=BEGUN)

    assert outcomes(run, "s") == ["passed"]
    begun = time.monotonic()
    result = sampled(run)
    assert time.monotonic() - begun < PATIENCE
    assert result.failure is not None
    assert result.failure.reason.startswith("no sample was taken: ")
    assert result.curve is not None
    assert (result.curve.samples, result.curve.failed) == (0, 1)


def test_a_value_outside_its_limits_fails_the_recipe_but_no_step(run_of: Run) -> None:
    run = run_of({"cmd": COUNT, "every": 0.01, "high": 2}, final="exit 3", s=THREE)

    assert outcomes(run, "s", "off") == ["passed", "failed"]
    result = run.results["t"]

    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.kind == "criterion"
    assert result.failure.reason == "3 is above the limit 2, while s ran"
    assert result.failure.place == run.recipe.samplers[0].sampling.at["high"]
    assert measured(result)["max"][1] == "fail"
    assert [one.step for one in run.finish()] == ["t"]


def test_a_sample_is_the_decimal_that_a_program_prints(run_of: Run, bench: Bench) -> None:
    events: list[Sampled] = []
    bench.configure(record=lambda one: events.append(one) if isinstance(one, Sampled) else None)
    limits = {"low": 3.35, "high": 3.35, "unit": "V"}
    run = run_of(
        {"cmd": "echo x >> taken; echo 3.35000000000000000000001", **limits},
        s="until [ -s taken ]; do sleep 0.005; done",
    )
    outcomes(run, "s", "off")
    result = sampled(run)

    assert result.failure is not None
    assert result.failure.reason == (
        "3.35000000000000000000001 V is above the limit 3.35000000000000000000000 V, while s ran"
    )
    values = [one.value for one in events] + [one.value for one in result.measurements]
    assert {*map(type, values)} == {float}


def test_a_limit_of_samples_is_the_decimal_that_is_written(bench: Bench) -> None:
    bench.write("taken", "")
    recipe = bench.recipe(
        "sampling: {t: {cmd: 'echo x >> taken; echo 3.35', low: 3.35000000000000000000001}}\n"
        "steps: [{name: s, type: shell, parse: text, "
        "cmd: 'until [ -s taken ]; do sleep 0.005; done'}]"
    )
    run = RecipeRun(recipe, bench.context, bench.attempt)
    outcomes(run, "s")
    result = sampled(run)

    assert result.failure is not None
    assert result.failure.reason == (
        "3.35000000000000000000000 is below the limit 3.35000000000000000000001, while s ran"
    )
    assert {type(one.low) for one in result.measurements} == {float}


def test_finally_steps_and_other_recipes_see_that_a_limit_was_violated(
    bench: Bench, run_of: Run
) -> None:
    first = run_of(
        {"cmd": "echo 1", "high": 0},
        final="echo ${{ recipe.outcome }} ${{ failed() }} > said",
        s="true",
    )
    assert outcomes(first, "s", "off") == ["passed", "passed"]
    assert (bench.root / "said").read_text() == "failed true\n"
    other = RecipeRun(
        bench.recipe("steps: [{name: s, type: shell, cmd: x}]"), bench.context, bench.attempt
    )
    other.needed = (first,)

    assert other.blocker(other.recipe.step("s")) == "recipes/x.yaml"
    first.finish()


def test_a_recipe_that_needs_one_with_a_violated_limit_is_blocked_before_its_end(
    bench: Bench, run_of: Run
) -> None:
    first = run_of({"cmd": COUNT, "every": 0.01, "high": 0}, s=THREE)
    first.result(first.recipe.step("s"))
    other = RecipeRun(
        bench.recipe("steps: [{name: s, type: shell, cmd: x}]"), bench.context, bench.attempt
    )
    other.needed = (first,)

    assert other.blocker(other.recipe.step("s")) == "recipes/x.yaml"
    first.finish()


@pytest.mark.parametrize("jobs", [1, 3])
def test_an_abort_ends_the_running_steps_and_blocks_the_others(
    bench: Bench, run_of: Run, jobs: int
) -> None:
    cmd = "test -e ran && echo 9 || echo 0"
    run = run_of({"cmd": cmd, "every": 0.01, "high": 5, "abort": True}, jobs=jobs, s=FOREVER, n="x")

    assert outcomes(run, "s", "n", "off") == ["failed", "blocked", "passed"]
    failure = run.results["s"].failure

    assert failure is not None
    assert failure.kind == "interrupted"
    assert failure.reason.endswith("s: recipes/x.yaml::t: 9 is above the limit 5, while s ran")
    assert run.results["n"].reason == "blocked by recipes/x.yaml::s"
    free = msgspec.structs.replace(run.recipe.step("n"), needs=())
    assert run.blocker(free) == "t"
    assert run.block(free, "t").reason == "blocked by recipes/x.yaml::t"
    assert [one.outcome for one in run.finish()] == ["failed"]
    assert (bench.root / "ran").read_text() == "begun\n"


def test_an_abort_ends_the_delay_before_another_attempt(bench: Bench) -> None:
    recipe = bench.recipe(
        "sampling: {t: {cmd: 'test -e failed && echo 1 || echo 0', every: 10ms, high: 0, "
        "abort: true}}\n"
        "steps: [{name: s, type: shell, cmd: touch failed; exit 1, "
        "retry: {attempts: 2, delay: 1h}}]"
    )
    run = RecipeRun(recipe, bench.context, bench.attempt)

    assert outcomes(run, "s") == ["failed"]
    failure = run.results["s"].failure
    assert failure is not None
    assert failure.kind == "interrupted"
    run.finish()


@pytest.mark.parametrize(
    ("cmd", "reason"),
    [
        ("exit 4", "no sample was taken: exit code 4, expected 0"),
        ("echo '[1]'", "no sample was taken: the result is a list, should be a number"),
        ("echo true", "no sample was taken: the result is a boolean, should be a number"),
        (
            "echo '{\"volts\": 1}'",
            "no sample was taken: the result is a mapping without a number below 'value'",
        ),
    ],
)
def test_a_value_without_any_sample_fails(run_of: Run, cmd: str, reason: str) -> None:
    run = run_of({"cmd": cmd, "every": 0.01}, s="true")
    run.result(run.recipe.step("s"))
    result = sampled(run)

    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == ("criterion", reason)
    assert measured(result) == dict.fromkeys(("min", "mean", "max"), (UNSET, "unset"))
    assert result.curve is not None
    assert result.curve.failed


def test_some_failed_samples_are_a_warning(run_of: Run) -> None:
    cmd = f"{COUNT}; test $(wc -l < taken) -ge 2"
    run = run_of({"cmd": cmd, "every": 0.01}, s=THREE)
    run.result(run.recipe.step("s"))
    result = sampled(run)

    assert result.outcome == "passed"
    assert result.curve is not None
    total = result.curve.samples + 1
    assert result.warnings == (
        f"1 of {total} samples failed, the last one: exit code 1, expected 0",
    )


def test_only_the_watched_steps_are_sampled(bench: Bench, run_of: Run) -> None:
    names: list[str] = []

    def record(event: object) -> None:
        if isinstance(event, Sampled):
            names.append("sample")

    bench.configure(record=record)
    run = run_of(
        {"cmd": "echo 1", "every": 0.01, "from": "b", "to": "b"}, a="true", b="sleep 0.05", c="true"
    )
    run.result(run.recipe.step("a"))
    assert names == []
    run.result(run.recipe.step("b"))
    run.result(run.recipe.step("c"))

    assert sampled(run).outcome == "passed"
    unwatched = run_of({"cmd": "echo 1", "from": "b", "to": "b"}, a="true", b="true")
    unwatched.result(unwatched.recipe.step("a"))
    assert unwatched.finish() == []


def test_samples_that_take_longer_than_their_interval_are_counted_as_late(run_of: Run) -> None:
    run = run_of({"cmd": f"{COUNT}; sleep 0.05", "every": 0.01}, s=THREE)
    run.result(run.recipe.step("s"))
    curve = sampled(run).curve

    assert curve is not None
    assert (curve.late or 0) >= 2 * (curve.samples - 1)


def test_the_last_sample_has_time_to_end_and_is_a_warning_if_it_does_not(
    run_of: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = "test $(wc -l < taken) -lt 3 || sleep 60"
    monkeypatch.setattr("pytest_orchestrator.execution.scheduling.sampling._LAST", 0.01)
    run = run_of({"cmd": f"{COUNT}; {last}", "every": 0.01}, s=THREE)
    run.result(run.recipe.step("s"))
    result = sampled(run)

    assert measured(result)["max"] == (2, "pass")
    (warning,) = result.warnings
    assert warning.startswith("1 of 3 samples failed, the last one: interrupted after ")


def test_limits_and_commands_may_read_vars(bench: Bench) -> None:
    recipe = bench.recipe(
        "vars: {most: 1, value: 7}\n"
        "sampling: {t: {cmd: 'echo ${{ vars.value }}', high: '${{ vars.most }}'},"
        " u: {cmd: echo 1, low: '${{ vars.most > 0 }}'}}\n"
        "steps: [{name: s, type: shell, parse: text, cmd: 'true'}]"
    )
    run = RecipeRun(recipe, bench.context, bench.attempt)
    run.result(recipe.step("s"))
    one, other = run.finish()

    assert one.failure is not None
    assert one.failure.reason.startswith("7 is above the limit 1")
    assert other.failure is not None
    assert other.failure.kind == "validation"
    assert other.failure.reason == "'low' is true, should be a number"


@given(st.lists(st.floats(-1e6, 1e6), max_size=6000))
def test_a_curve_keeps_its_ends_and_extremes_in_a_bounded_number_of_points(
    values: list[float],
) -> None:
    curve = CurveRecorder()
    for moment, value in enumerate(values):
        curve.add(moment, value)

    points = curve.points
    assert len(points) <= 1_002
    assert [*points] == sorted(points)
    assert {*points} <= {*enumerate(values)}
    if values:
        assert max(value for _, value in points) == max(values)
        assert min(value for _, value in points) == min(values)
    if len(values) <= 1_000:
        assert [value for _, value in points] == values


@pytest.mark.parametrize("starts", [True, False])
def test_ctrl_c_while_the_thread_of_a_value_starts_ends_its_sampling(
    run_of: Run, bench: Bench, monkeypatch: pytest.MonkeyPatch, starts: bool
) -> None:
    start, threads = threading.Thread.start, list[threading.Thread]()

    def interrupt(thread: threading.Thread) -> None:
        is_sampling = thread.name == "recipe sampling t"
        if starts or not is_sampling:
            start(thread)
        if is_sampling:
            threads.append(thread)
            raise KeyboardInterrupt

    run = run_of({"cmd": COUNT, "every": 0.01}, a="true")
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            outcomes(run, "a")
    run.finish()
    taken = (bench.root / "taken").read_text()

    assert not threads[0].is_alive()
    assert starts or taken == ""


def test_ctrl_c_while_a_value_is_ended_ends_all_values(
    run_of: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of({"cmd": COUNT, "every": 0.01}, a=THREE)
    assert outcomes(run, "a") == ["passed"]
    finish, calls = sampling.RunningSampler.finish, list[bool]()

    def interrupted(one: sampling.RunningSampler, *, at_once: bool) -> StepResult:
        calls.append(at_once)
        if not at_once:
            raise KeyboardInterrupt
        return finish(one, at_once=at_once)

    monkeypatch.setattr(sampling.RunningSampler, "finish", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run.finish()

    assert calls == [False, True]
    assert not any(one.name == "recipe sampling t" for one in threading.enumerate())
