"""Retry of a step: attempts, delays, until, abort_if, and the outputs of the last attempt."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.recipe import load
from pytest_orchestrator.reports import failure as failure_text
from tests.execution.conftest import is_free

if TYPE_CHECKING:
    import threading

    from pytest_orchestrator.core.result import StepResult
    from tests.execution.conftest import Bench

THIRD = "echo attempt >&2; echo x >> n; test $(wc -l < n) -ge 3"


def loop_of(bench: Bench, cmd: str, retry: dict[str, Any], **keys: Any) -> RetryLoop:
    step = bench.shell_step(cmd, **{"parse": "text", "retry": retry} | keys)
    return bench.retry_loop(step)


def run_of(bench: Bench) -> RecipeRun:
    recipe = load(bench.root / "recipes" / "x.yaml", root=bench.root)
    return RecipeRun(recipe, bench.context, bench.attempt)


def tried(bench: Bench, cmd: str, number: int = 5, **keys: Any) -> StepResult:
    loop = loop_of(bench, cmd, {"attempts": number}, **keys)
    while loop.run() is None:
        pass
    assert loop.result is not None
    return loop.result


def reasons(result: StepResult) -> list[str]:
    return [f"{one.number}: {one.failure.reason}" for one in result.attempts]


def test_a_step_is_retried_until_it_passes(bench: Bench) -> None:
    result = tried(bench, THIRD)
    assert (result.outcome, result.attempt) == ("passed", 3)
    assert reasons(result) == ["1: exit code 1, expected 0", "2: exit code 1, expected 0"]


def test_a_step_is_retried_up_to_its_number_of_attempts(bench: Bench) -> None:
    result = tried(bench, "echo x >> n; false", 3)
    assert (result.outcome, result.attempt) == ("failed", 3)
    assert (bench.root / "n").read_text() == "x\n" * 3


def test_a_step_without_retry_has_one_attempt(bench: Bench) -> None:
    step = bench.shell_step("false", parse="text")
    loop = bench.retry_loop(step)
    result = loop.run()
    assert result is not None
    assert (result.outcome, result.attempt, result.attempts) == ("failed", 1, ())


def test_an_unmet_criterion_fails_an_attempt(bench: Bench) -> None:
    result = tried(bench, "mv half whole || touch half", success={"files_exist": ["whole"]})
    assert (result.outcome, result.attempt) == ("passed", 2)
    assert result.attempts[0].failure.kind == "criterion"


def test_the_timeout_applies_to_each_attempt(bench: Bench) -> None:
    # 0.8 s are enough for `test -e n`; more attempts are for a loaded machine.
    result = tried(bench, "test -e n || { touch n; exec sleep 60; }", 20, timeout=0.8)
    assert result.outcome == "passed"
    assert result.attempts[0].failure.kind == "timeout"


def test_a_step_that_skips_itself_is_not_retried(bench: Bench) -> None:
    result = tried(bench, """echo '{"status": "skip"}'""", parse="json")
    assert (result.outcome, result.attempt) == ("skipped", 1)


def test_each_attempt_has_its_own_logs(bench: Bench) -> None:
    result = tried(bench, "echo x >> n; wc -l < n >&2; test $(wc -l < n) -ge 3")
    logs = bench.root / "logs"
    assert [(logs / f"s.{number}.stderr").read_text() for number in (1, 2, 3)] == [
        "1\n",
        "2\n",
        "3\n",
    ]
    ended = [one.ended for one in result.attempts]
    assert [end.process and end.process.stderr.log for end in ended] == [
        str(logs / "s.1.stderr"),
        str(logs / "s.2.stderr"),
    ]
    assert [end.process and end.process.stderr.text for end in ended] == ["", ""]


def test_each_attempt_has_its_own_samples(bench: Bench) -> None:
    bench.configure(resources=bench.root / "resources")
    waits = "until [ -s resources/s.$(wc -l < n).jsonl ]; do sleep 0.01; done"
    result = tried(bench, f"echo x >> n; {waits}; false", 2)
    assert result.ended is not None
    paths = [one.ended.usage.samples for one in result.attempts] + [result.ended.usage.samples]
    assert paths == [str(bench.root / f"resources/s.{number}.jsonl") for number in (1, 2)]
    assert all(Path(str(path)).read_text().startswith('{"seconds": 0.') for path in paths)


def test_changes_of_failed_attempts_are_reported(bench: Bench) -> None:
    source = """
        def step(ctx, params):
            ctx.get("missing.key")
            assert ctx.increment("n") == 2
            return {"status": "ok"}
    """
    step = bench.python_step(source, retry={"attempts": 3})
    loop = bench.retry_loop(step)
    assert loop.run() is None
    result = loop.run()
    assert result is not None
    assert [change.new for change in result.changes] == [1, 2]
    assert result.missed == ("missing.key",)
    assert result.attempts[0].failure.exception is None


def test_the_exception_of_the_last_attempt_has_a_note_with_its_number(bench: Bench) -> None:
    step = bench.python_step("def step(): raise ValueError('no')", retry={"attempts": 2})
    loop = bench.retry_loop(step)
    assert loop.run() is None
    result = loop.run()
    assert result is not None
    assert result.failure is not None
    assert getattr(result.failure.exception, "__notes__", None) == ["attempt 2 of 2"]


def test_backoff_multiplies_the_delay_of_each_attempt(bench: Bench) -> None:
    loop = loop_of(bench, "false", {"attempts": 4, "delay": 100, "backoff": 3})
    assert loop.not_before <= time.monotonic()
    for seconds in (100, 300, 900):
        before = time.monotonic()
        assert loop.run() is None
        assert before + seconds <= loop.not_before <= time.monotonic() + seconds
    assert loop.run() is not None


def test_an_attempt_waits_for_its_delay(bench: Bench) -> None:
    loop = loop_of(bench, "false", {"attempts": 2, "delay": 0.2})
    assert loop.run() is None
    loop.wait()
    assert time.monotonic() >= loop.not_before


def test_ctrl_c_ends_a_wait_with_an_interrupted_result(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = bench.shell_step("false", parse="text", retry={"attempts": 2, "delay": "1h"})
    run = run_of(bench)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    waited = RetryLoop.wait

    def wait(self: RetryLoop, stop: threading.Event | None = None) -> bool:
        signal.setitimer(signal.ITIMER_REAL, 0.3)
        return waited(self, stop)

    monkeypatch.setattr(RetryLoop, "wait", wait)
    try:
        with pytest.raises(KeyboardInterrupt):
            run.result(step)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    result = run.results["s"]
    assert result.failure is not None
    assert (result.failure.kind, result.attempt) == ("interrupted", 2)
    assert reasons(result) == ["1: exit code 1, expected 0"]


def test_a_waiting_retry_holds_no_lock_and_no_lane(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(bench.root / "locks"))
    step = bench.shell_step(THIRD, parse="text", locks=["psu"], retry={"attempts": 3})
    free: list[bool] = []
    waited = RetryLoop.wait

    def wait(self: RetryLoop, stop: threading.Event | None = None) -> bool:
        bench.shell("true", parse="text")
        free.append(is_free("psu"))
        return waited(self, stop)

    monkeypatch.setattr(RetryLoop, "wait", wait)
    run = run_of(bench)
    assert run.result(step).attempt == 3
    assert free == [True] * 3


COUNT = 'echo x >> n; n=$(wc -l < n); echo "{\\"n\\": $n}"'
OUT = {"n": "${{ result.n }}"}


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"success": {"assert": ["ctx.n >= 3"]}}, (3, 3, "passed")),
        ({"success": {"ctx_has_keys": ["n"], "files_exist": ["none"]}}, (4, 4, "failed")),
        ({"measurements": {"m": {"value": "ctx.n", "low": 2}}}, (2, 2, "passed")),
        ({"success": {"files_exist": ["n"]}}, (1, 1, "passed")),
    ],
)
def test_only_the_last_attempt_writes_its_outputs(
    bench: Bench, keys: dict[str, Any], expected: tuple[int, int, str]
) -> None:
    result = tried(bench, COUNT, 4, parse="data", outputs=OUT, **keys)
    number, value, outcome = expected
    assert (result.attempt, bench.context["n"], result.outcome) == (number, value, outcome)
    assert [(one["who"], one["new"]) for one in bench.context.get_history("n")] == [("s", value)]
    assert [(one.key, one.new) for one in result.changes] == [("n", value)]


@pytest.mark.parametrize(
    ("retry", "number"), [({"until": "ctx.n == 2"}, 2), ({"abort_if": "ctx.n == 3"}, 3)]
)
def test_until_and_abort_if_see_the_outputs_of_the_attempt(
    bench: Bench, retry: dict[str, Any], number: int
) -> None:
    fails = {"success": {"files_exist": ["none"]}} if "abort_if" in retry else {}
    cmd, retry = COUNT, {"attempts": 5} | retry
    loop = loop_of(bench, cmd, retry, parse="data", outputs=OUT, **fails)
    while loop.run() is None:
        assert "n" not in bench.context
    assert loop.result is not None
    assert (loop.result.attempt, bench.context["n"]) == (number, number)
    assert len(bench.context.get_history("n")) == 1


@pytest.mark.parametrize(
    ("abort_if", "problem"),
    [
        ("ctx.nokey > 1", "the context has no key 'nokey'; it has none at all"),
        ("kind > 1", "TypeError: '>' not supported between instances of 'str' and 'int'"),
        ("result.n", "there is no 'n'; there is only 'status'"),
    ],
)
def test_an_abort_condition_without_a_value_fails_the_step_at_its_place(
    bench: Bench, abort_if: str, problem: str
) -> None:
    loop = loop_of(bench, "exit 3", {"attempts": 3, "abort_if": abort_if})
    result = loop.run()
    assert result is not None
    assert (result.outcome, result.attempt, result.meets) == ("failed", 1, False)
    failure = result.failure
    assert failure is not None
    assert failure.kind == "validation"
    assert failure.reason == f"`{abort_if}`: {problem}"
    assert failure.detail == ("the attempt itself failed (exit_code): exit code 3, expected 0",)
    assert failure.place is not None
    lines = (bench.root / "recipes" / "x.yaml").read_text().splitlines()
    shown = lines[failure.place.line - 1][failure.place.column - 1 :]
    assert shown.lstrip('"').startswith(abort_if)


def test_an_abort_condition_without_a_value_is_named_beside_criteria(bench: Bench) -> None:
    loop = loop_of(
        bench,
        "true",
        {"attempts": 3, "abort_if": "ctx.nokey"},
        success={"files_exist": ["none", "neither"]},
    )
    result = loop.run()
    assert result is not None
    recipe = load(bench.root / "recipes" / "x.yaml", root=bench.root)
    text = failure_text.text(recipe, recipe.steps[0], result, bench.root, bench.root)
    reason = "`ctx.nokey`: the context has no key 'nokey'; it has none at all"
    assert text.splitlines()[0].endswith(f": step 's' (attempt 1 of 3): {reason}")
    assert f"E   {reason}" in text
    own = "the attempt itself failed (criterion): files_exist: none is not there (and 1 more)"
    assert own in text


def test_an_abort_condition_is_not_evaluated_after_the_last_attempt(bench: Bench) -> None:
    result = loop_of(bench, "exit 3", {"attempts": 1, "abort_if": "ctx.nokey"}).run()
    assert result is not None
    assert result.failure is not None
    assert (result.failure.kind, result.failure.detail) == ("exit_code", ())


def test_a_last_attempt_whose_step_code_fails_writes_no_outputs(bench: Bench) -> None:
    cmd = f"{COUNT}; test $n -lt 2"
    result = tried(bench, cmd, 2, parse="data", outputs=OUT, success={"files_exist": ["none"]})
    assert (result.attempt, result.outcome) == (2, "failed")
    assert bench.context.get_history("n") == []


def test_changes_by_the_step_code_of_a_failed_attempt_remain(bench: Bench) -> None:
    source = "def step(ctx):\n    n = ctx.increment('n')\n    return {'status': 'ok', 'n': n}\n"
    success = {"assert": ["ctx.n == 2", "ctx.out == 2"]}
    keys = {"retry": {"attempts": 3}, "outputs": {"out": "${{ result.n }}"}, "success": success}
    loop = bench.retry_loop(bench.python_step(source, **keys))
    assert loop.prepare() is None
    while loop.run() is None:
        pass
    assert loop.result is not None
    assert loop.result.outcome == "passed"
    assert [(one.key, one.new) for one in loop.result.changes] == [("n", 1), ("n", 2), ("out", 2)]
