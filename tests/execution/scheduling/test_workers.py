"""Parallel run of a recipe: order, slots, requested results, locks, fail-fast, cancellation."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.faults import PATIENCE, alive, new_token
from pytest_orchestrator.execution.lanes.messages import CommandRequest
from pytest_orchestrator.execution.locks import locks
from pytest_orchestrator.execution.notifications import Finished
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.scheduling.tasks import FailFast, StepDependencies, Task
from tests.execution.conftest import outcomes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_orchestrator.core.result import StepResult
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.locks.locks import LockSet, LockWait
    from tests.execution.conftest import Bench


@pytest.fixture
def pool(bench: Bench, slot: Slot) -> Iterator[Callable[..., RecipeRun]]:
    """Return a factory of parallel runs from the commands and needs of shell steps."""
    # Steps that wait for one another in vain fail at this timeout.
    bench.configure(timeout=PATIENCE)
    made: list[RecipeRun] = []
    slots = [slot, *(slot.new_slot() for _ in range(3))]

    def pool(
        seconds: dict[str, float] | None = None,
        jobs: int = 3,
        top: str = "",
        **steps: tuple[str, str],
    ) -> RecipeRun:
        lines = [
            f"  - {{name: {name}, type: shell, parse: text, needs: [{needs}]"
            + (", retry: {attempts: 2, delay: 0.2}" if name == "retried" else "")
            + (", retry: {attempts: 2, delay: 1h}" if name.startswith("retried_late") else "")
            + (", foreach: [1, 2, 3]" if "loop" in name else "")
            + (", locks: [psu]" if "locked" in name else "")
            + (", continue_on_error: true" if "goes_on" in name else "")
            + (f", after: [{name.partition('_after_')[2]}]" if "_after_" in name else "")
            + f", cmd: [sh, -c, {json.dumps(cmd)}]}}"
            for name, (cmd, needs) in steps.items()
        ]
        final = "finally:\n  - {name: off, type: shell, parse: text, cmd: echo off >> ran}\n"
        recipe = bench.recipe(top + "\n".join(["steps:", *lines, final]))
        run = RecipeRun(recipe, bench.context, bench.attempt, slots=slots[:jobs])
        run.workers.plan(
            {step.name: StepDependencies(step.needs, step.after) for step in recipe.steps}, seconds
        )
        made.append(run)
        return run

    yield pool
    for run in made:
        run.cancel("the test is over")


def _recording(name: str, more: str = "") -> str:
    return f"echo {name} >> ran; {more}"


_ENDS = "trap 'touch {}.over; exit 1' TERM; {}; while :; do sleep 0.01; done"


def ran(run: RecipeRun) -> list[str]:
    path = run.config.root / "ran"
    return path.read_text().split() if path.exists() else []


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def failure_of(result: StepResult) -> tuple[str, str]:
    assert result.failure is not None
    return result.failure.kind, result.failure.reason


def test_independent_steps_run_at_the_same_time(
    pool: Callable[..., RecipeRun],
) -> None:
    meet = "touch {0}.met; until [ -e a.met -a -e b.met -a -e c.met ]; do sleep 0.01; done"
    run = pool(a=(meet.format("a"), ""), b=(meet.format("b"), ""), c=(meet.format("c"), ""))
    assert outcomes(run, "a", "b", "c") == ["passed"] * 3


def test_a_result_is_recorded_before_it_can_be_requested(
    bench: Bench, pool: Callable[..., RecipeRun]
) -> None:
    run = pool(a=("true", ""))
    main_queue, seen = run.config.main_queue, list[str]()

    def record(what: object) -> None:
        if isinstance(what, Finished) and not what.step.is_final:
            seen.append("begins")
            if threading.current_thread() is not threading.main_thread():
                main_queue.wake()  # as the end of another step does
                time.sleep(0.2)
            seen.append("ends")

    bench.configure(record=record)
    assert outcomes(run, "a") == ["passed"]
    assert seen == ["begins", "ends"] * 2


def test_the_fail_fast_cutoff_is_known_before_the_failure_can_be_requested(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(a=("exit 3", ""))
    main_queue, seen = run.config.main_queue, list[bool]()

    def left() -> int:
        main_queue.wake()  # as the end of another step does
        time.sleep(0.2)
        seen.append("a" in run.results)
        return 1

    run.workers.fail_fast = FailFast({"a"}, left)
    assert outcomes(run, "a") == ["failed"]
    assert seen == [False]


def test_no_more_steps_run_at_a_time_than_slots_exist(pool: Callable[..., RecipeRun]) -> None:
    alone = "mkdir one || exit 3; sleep 0.05; rmdir one"
    run = pool(jobs=1, a=(alone, ""), b=(alone, ""), c=(alone, ""))
    assert outcomes(run, "a", "b", "c") == ["passed"] * 3


def test_a_step_begins_when_all_its_needs_have_passed(pool: Callable[..., RecipeRun]) -> None:
    run = pool(
        a=(_recording("a", "sleep 0.1; echo a-over >> ran"), ""),
        b=(_recording("b"), ""),
        c=(_recording("c"), "a, b"),
    )
    assert outcomes(run, "a", "b", "c") == ["passed"] * 3
    *before, last = ran(run)
    assert sorted(before) == ["a", "a-over", "b"]
    assert last == "c"


def test_after_waits_for_the_end_of_a_step_whatever_its_outcome(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(
        a=(_recording("a", "sleep 0.1; echo a-over >> ran; exit 3"), ""),
        b=(_recording("b"), "a"),
        c_after_b=(_recording("c"), ""),
        d_after_a=(_recording("d"), ""),
    )
    assert outcomes(run, "a", "b", "c_after_b", "d_after_a") == [
        "failed",
        "blocked",
        "passed",
        "passed",
    ]
    assert ran(run)[:2] == ["a", "a-over"]
    assert sorted(ran(run)[2:]) == ["c", "d"]


def test_a_step_may_need_the_step_that_it_comes_after(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("true", ""), b_after_a=(_recording("b"), "a"))
    assert outcomes(run, "a", "b_after_a") == ["passed", "passed"]
    assert ran(run) == ["b"]


def test_a_thread_that_cannot_start_raises_in_the_waiting_thread(
    pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "recipe step b":
            raise RuntimeError("the interpreter ends")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    run = pool(a=("true", ""), b=(_recording("b"), "a"))
    with pytest.raises(RuntimeError, match="the interpreter ends"):
        outcomes(run, "a")
    assert run.results["a"].outcome == "passed"


def test_the_end_of_a_blocked_step_lets_others_begin(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("exit 3", ""), b=("true", "a"), c_after_b=(_recording("c"), ""))
    assert outcomes(run, "a", "b") == ["failed", "blocked"]
    until(lambda: ran(run) == ["c"])


def test_dependants_run_after_a_failure_with_continue_on_error(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(
        a_goes_on=("exit 3", ""),
        b=("until [ -e d ]; do sleep 0.01; done", ""),
        d=("touch d", "a_goes_on"),
    )
    assert outcomes(run, "a_goes_on", "b", "d") == ["failed", "passed", "passed"]


_EVER = "echo begun >> ran; sleep 60"


def test_stop_on_failure_ends_the_steps_that_are_running(
    pool: Callable[..., RecipeRun],
) -> None:
    wait = "until grep -q begun ran; do sleep 0.01; done; exit 3"
    run = pool(
        top="stop_on_failure: true\n",
        jobs=2,
        long=(_EVER, ""),
        bad=(wait, ""),
        never=("echo never >> ran", ""),
        next=("echo next >> ran", "bad"),
    )
    assert outcomes(run, "long", "bad", "never", "next") == [
        "failed",
        "failed",
        "blocked",
        "blocked",
    ]
    kind, reason = failure_of(run.results["long"])
    assert kind == "interrupted"
    assert re.fullmatch(r"interrupted after \d+\.\d s: recipes/x.yaml::bad failed", reason)
    assert run.results["never"].blocked_by == "bad"
    assert outcomes(run, "off") == ["passed"]
    assert ran(run) == ["begun", "off"]


def test_a_step_that_never_began_is_blocked_by_a_failure_after_it(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(
        {"slow": 1.0, "bad": 2.0},
        top="stop_on_failure: true\n",
        jobs=1,
        slow=(_recording("slow"), ""),
        bad=("exit 3", ""),
    )
    # The step with the longest known duration gets the only slot first.
    run.result(run.recipe.step("bad"))
    assert outcomes(run, "slow") == ["blocked"]
    assert ran(run) == []


def test_stop_on_failure_ends_waits_for_locks_and_retries(
    pool: Callable[..., RecipeRun],
) -> None:
    wait = "until grep -q begun ran && [ -e tried ]; do sleep 0.01; done; exit 3"
    run = pool(
        top="stop_on_failure: true\n",
        jobs=3,
        retried=("touch tried; exit 3", ""),
        locked_goes_on=(_EVER, ""),
        bad=(wait, ""),
        locked=("echo locked >> ran", ""),
    )
    assert outcomes(run, "locked_goes_on", "bad", "locked") == ["failed", "failed", "blocked"]
    assert failure_of(run.results["locked_goes_on"])[0] == "interrupted"
    assert ran(run) == ["begun"]


def test_no_step_after_the_fail_fast_cutoff_continues(
    bench: Bench, pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[LockWait] = []
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(bench.root / "locks"))
    bench.configure(on_lock_wait=waits.append)
    run = pool(
        a=("until [ -e c.over -a -e retried.over ]; do sleep 0.01; done", ""),
        b=("until [ -e a.met -a -e c.met ]; do sleep 0.01; done; exit 3", ""),
        c=(_ENDS.format("c", "touch c.met"), ""),
        retried=(_ENDS.format("retried", _recording("retried", "touch a.met")), ""),
        d=(_recording("d"), ""),
        locked_e=(_recording("e"), ""),
        jobs=4,
    )
    held = locks.acquire(["psu"], run="run-2", step="recipes/y.yaml::m")
    assert held is not None
    run.workers.fail_fast = FailFast({"a", "b"}, lambda: 1, "that was it")

    assert outcomes(run, "a", "b") == ["passed", "failed"]
    run.cancel("the session is over")

    held.release()
    assert (ran(run), waits) == (["retried"], [])
    assert run.unrequested == ["c", "retried"]
    kind, reason = failure_of(run.results["c"])
    assert kind == "interrupted"
    assert reason.endswith(" s: that was it")


def test_steps_after_the_fail_fast_cutoff_run_if_they_are_requested(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(a=("exit 3", ""), b=(_recording("b"), ""), c=(_recording("c"), "b"), jobs=1)
    run.workers.fail_fast = FailFast({"a", "b", "c"}, lambda: 1)

    assert outcomes(run, "a") == ["failed"]
    assert ran(run) == []
    assert outcomes(run, "b", "c") == ["passed", "passed"]
    assert ran(run) == ["b", "c"]


def test_a_failure_that_does_not_count_sets_no_cutoff(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("exit 3", ""), b=(_recording("b"), ""), jobs=1)
    run.workers.fail_fast = FailFast({"b"}, lambda: 1)
    outcomes(run, "a")

    until(lambda: ran(run) == ["b"])


def test_stop_on_failure_by_a_failed_setup_ends_the_running_steps(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(
        top="stop_on_failure: true\n",
        first=("until grep -q begun ran; do sleep 0.01; done", ""),
        bad=("true", "first"),
        long=(_EVER, ""),
    )
    assert outcomes(run, "first") == ["passed"]
    run.note(run.recipe.step("bad"), "failed", "no bench")
    assert outcomes(run, "long") == ["failed"]
    assert failure_of(run.results["long"])[0] == "interrupted"


def test_a_rerun_that_passes_lets_a_stopped_recipe_continue(
    bench: Bench, pool: Callable[..., RecipeRun]
) -> None:
    run = pool(top="stop_on_failure: true\n", bad=("test -e good", ""), next=("true", "bad"))
    assert outcomes(run, "bad", "next") == ["failed", "blocked"]
    bench.write("good", "")
    bad = run.recipe.step("bad")
    assert run.blocker(bad) is None
    assert run.result(bad, again=True).outcome == "passed"
    assert run.result(run.recipe.step("next"), again=True).outcome == "passed"


def test_results_contains_only_requested_results(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("until [ -e b ]; do sleep 0.01; done", ""), b=("touch b", ""))
    assert outcomes(run, "a") == ["passed"]
    assert list(run.results) == ["a"]
    assert outcomes(run, "b") == ["passed"]


def test_dependants_of_a_failed_step_name_it_as_their_blocker(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(
        a=("exit 3", ""),
        b=(_recording("b"), "a"),
        c=(_recording("c"), "b"),
        free=(_recording("free"), ""),
    )
    assert outcomes(run, "a", "b", "c", "free", "off") == [
        "failed",
        "blocked",
        "blocked",
        "passed",
        "passed",
    ]
    assert [run.results[name].blocked_by for name in ("b", "c", "free")] == ["a", "a", None]
    assert run.results["c"].reason == "blocked by recipes/x.yaml::a"
    assert ran(run) == ["free", "off"]


def test_a_rerun_that_passes_unblocks_its_dependants(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("[ -e good ]", ""), b=(_recording("b"), "a"))
    assert outcomes(run, "a") == ["failed"]
    (run.config.root / "good").touch()
    assert run.result(run.recipe.step("a"), again=True).outcome == "passed"
    assert outcomes(run, "b") == ["passed"]
    assert ran(run) == ["b"]


def test_a_step_that_is_not_planned_runs_only_on_request(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(a=(_recording("a"), ""), b=(_recording("b"), ""))
    run.workers.plan({"a": StepDependencies()})
    assert outcomes(run, "a") == ["passed"]
    run.settle()
    assert ran(run) == ["a"]
    assert outcomes(run, "b") == ["passed"]


def test_the_longest_critical_path_goes_first(pool: Callable[..., RecipeRun]) -> None:
    steps = {name: (_recording(name), "") for name in ("first", "short", "long", "head")}
    steps["tail"] = (_recording("tail"), "head")
    seconds = {"first": 9.0, "short": 0.1, "long": 3.0, "head": 1.0, "tail": 4.0}
    run = pool(jobs=1, seconds=seconds, **steps)
    assert outcomes(run, "first", "short", "long", "head", "tail") == ["passed"] * 5
    assert ran(run) == ["first", "head", "tail", "long", "short"]


def test_finally_steps_begin_after_the_last_running_step(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("true", ""), b=("sleep 0.2; echo b >> ran", ""))
    assert outcomes(run, "a", "off") == ["passed", "passed"]
    assert ran(run) == ["b", "off"]


def test_a_step_whose_setup_failed_blocks_its_dependants(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(jobs=1, a=("true", ""), b=(_recording("b"), ""), c=(_recording("c"), "b"))
    run.note(run.recipe.step("b"), "failed", "no bench")
    assert outcomes(run, "a", "c") == ["passed", "blocked"]
    run.settle()
    assert ran(run) == []


def test_a_waiting_retry_holds_no_slot(pool: Callable[..., RecipeRun]) -> None:
    run = pool(jobs=1, retried=("[ -e good ]", ""), b=("touch good", ""))
    assert outcomes(run, "retried", "b") == ["passed", "passed"]
    assert run.results["retried"].attempt == 2


def test_output_of_parallel_steps_is_not_mixed(pool: Callable[..., RecipeRun]) -> None:
    lines = "i=0; while [ $i -lt 9000 ]; do echo {0}; echo {0} >&2; i=$((i + 1)); done"
    run = pool(**{name: (lines.format(name * 8), "") for name in "abc"})
    assert outcomes(run, "a", "b", "c") == ["passed"] * 3
    for name in "abc":
        for stream in ("stdout", "stderr"):
            log = run.attempt_defaults.log(name, stream)
            assert log is not None
            assert Path(log).read_text() == f"{name * 8}\n" * 9000


def test_a_cancel_ends_running_steps_and_keeps_results(
    pool: Callable[..., RecipeRun], is_gone: Callable[[int], bool]
) -> None:
    sleep = "echo $$ > {0}; exec sleep 600"
    run = pool(
        jobs=2,
        a=("until [ -e b ]; do sleep 0.01; done", ""),
        b=(sleep.format("b"), ""),
        c=("true", ""),
    )
    d = run.recipe.step("c")
    assert outcomes(run, "a") == ["passed"]
    path = run.config.root / "b"
    until(lambda: path.exists() and path.read_text() != "" and _ended(run, d.name))
    begun = time.monotonic()
    run.cancel("stopping after 1 failures")
    assert time.monotonic() - begun < PATIENCE
    kind, reason = failure_of(run.results["b"])
    assert (kind, reason.partition(": ")[2]) == ("interrupted", "stopping after 1 failures")
    assert run.results["c"].outcome == "passed"
    assert is_gone(int(path.read_text()))


def _ended(run: RecipeRun, name: str) -> bool:
    return run.workers.tasks[name].result is not None


def test_a_cancel_leaves_steps_that_have_not_begun_unchanged(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(jobs=1, a=("true", ""), b=("touch b; sleep 600", ""), c=(_recording("c"), ""))
    assert outcomes(run, "a") == ["passed"]
    until((run.config.root / "b").exists)
    run.cancel("over")
    assert sorted(run.results) == ["a", "b"]
    assert ran(run) == []
    assert outcomes(run, "off") == ["passed"]


def test_a_cancel_interrupts_a_waiting_retry(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("true", ""), retried_late=("echo >> tried; exit 3", ""))
    assert outcomes(run, "a") == ["passed"]
    until(lambda: run.workers.tasks["retried_late"].rests)
    (thread,) = (one for one in threading.enumerate() if "retried_late" in one.name)
    run.cancel("over")
    assert failure_of(run.results["retried_late"])[0] == "interrupted"
    thread.join(PATIENCE)  # an hour before the next attempt
    assert not thread.is_alive()
    assert (run.config.root / "tried").read_text() == "\n"


def test_ctrl_c_while_a_waiting_retry_is_cancelled_ends_the_run(
    pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = pool(retried_late=(_recording("retried", "false"), ""))
    run.workers.request(run.recipe.step("retried_late"))
    until(lambda: any(task.rests for task in run.workers.tasks.values()))

    wake = Task.wake

    def interrupted(task: Task) -> None:
        wake(task)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Task, "wake", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run.cancel("Ctrl-C")
    begun = time.monotonic()
    run.cancel("Ctrl-C")

    assert time.monotonic() - begun < PATIENCE
    assert ran(run) == ["retried"]


def test_a_thread_whose_start_ctrl_c_interrupted_runs_no_step(
    pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, late = pool(a=(_recording("a"), "")), list[threading.Thread]()
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        if thread.name != "recipe step a":
            start(thread)
            return
        late.append(thread)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", interrupted)
        with pytest.raises(KeyboardInterrupt):
            outcomes(run, "a")
    run.cancel("Ctrl-C")
    late[0].start()
    late[0].join(PATIENCE)

    assert not late[0].is_alive()
    assert ran(run) == []


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "])
def test_a_signal_ends_the_wait_and_all_steps(pool: Callable[..., RecipeRun], trap: str) -> None:
    token = new_token()
    commands = {name: f"touch {name}; sleep {token}" for name in "abc"}
    commands["b"] = trap + commands["b"]
    run = pool(**{name: (command, "") for name, command in commands.items()})
    sent: list[float] = []

    def interrupt() -> None:
        until(lambda: all((run.config.root / name).exists() for name in commands))
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run.result(run.recipe.step("a"))
    assert time.monotonic() - sent[0] < PATIENCE
    thread.join()
    kinds = {failure_of(result)[0] for result in run.results.values()}
    assert (sorted(run.results), kinds) == (["a", "b", "c"], {"interrupted"})
    assert failure_of(run.results["a"])[1].endswith(" s: Ctrl-C")
    assert alive(token) == []


def test_an_interrupted_loop_names_its_element_with_the_cause(
    pool: Callable[..., RecipeRun],
) -> None:
    second = "if [ -e first ]; then touch second; exec sleep 600; fi; touch first"
    run = pool(a=("true", ""), loop=(second, ""))
    assert outcomes(run, "a") == ["passed"]
    until((run.config.root / "second").exists)
    run.cancel("Ctrl-C")
    result = run.results["loop"]
    assert failure_of(result)[1].endswith(" s: Ctrl-C, at [1] 2 of 3")
    elements = result.elements or ()
    assert [one.state for one in elements] == ["passed", "interrupted", "not run"]
    assert failure_of(elements[1].result)[1].endswith(" s: Ctrl-C")


def test_worker_threads_end_after_the_last_step(pool: Callable[..., RecipeRun]) -> None:
    run = pool(a=("true", ""), b=("true", ""), c=("true", "a, b"))
    assert outcomes(run, "a", "b", "c") == ["passed"] * 3
    run.settle()
    until(lambda: all("recipe step" not in one.name for one in threading.enumerate()))
    assert ran(run) == []


def test_steps_have_the_environment_of_the_first_request(
    pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENCH", "early")
    run = pool(jobs=1, a=("true", ""), b=("sleep 0.1", ""), c=("echo $BENCH >> ran", ""))
    assert outcomes(run, "a") == ["passed"]
    monkeypatch.setenv("BENCH", "late")
    assert outcomes(run, "b", "c") == ["passed", "passed"]
    assert ran(run) == ["early"]


def test_steps_without_a_plan_run_one_by_one_on_request(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(a=(_recording("a"), ""), b=(_recording("b"), ""))
    run.workers.drop_plan()
    assert outcomes(run, "b", "a") == ["passed", "passed"]
    assert ran(run) == ["b", "a"]
    assert not run.workers.has_plan


def test_a_wait_for_a_lock_is_reported_in_the_main_thread(
    bench: Bench, pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: set[tuple[str, bool]] = set()
    held = locks.acquire(
        ["psu"], run="run-2", step="recipes/y.yaml::m", folder=str(bench.root / "locks")
    )
    assert held is not None
    later = threading.Timer(0.2, held.release)

    def waiting(wait: LockWait) -> None:
        if not waits:
            later.start()
        waits.add((wait.lock, threading.current_thread() is threading.main_thread()))

    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(bench.root / "locks"))
    bench.configure(on_lock_wait=waiting)
    run = pool(locked_a=("true", ""))
    assert outcomes(run, "locked_a") == ["passed"]
    assert waits == {("psu", True)}
    assert run.results["locked_a"].waited > 0.1


@pytest.mark.parametrize("top", ["", "locks: [bench]\n"])
def test_a_step_waits_for_the_lock_of_a_parallel_step(
    bench: Bench, pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch, top: str
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(bench.root / "locks"))
    alone = "mkdir one || exit 3; sleep 0.5; rmdir one"
    run = pool(top=top, **{f"locked_{name}": (alone, "") for name in "abc"})
    assert outcomes(run, *run_names(run)) == ["passed"] * 3
    waited = sorted(run.results[name].waited for name in run_names(run))
    assert waited[0] < waited[1]
    assert waited[1] >= 0.1
    assert waited[2] >= 0.2


def run_names(run: RecipeRun) -> list[str]:
    return [step.name for step in run.recipe.steps]


def test_a_step_that_waits_for_a_lock_of_this_run_holds_no_slot(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(
        jobs=2,
        locked_a=("until [ -e b ]; do sleep 0.01; done", ""),
        locked_b=("true", ""),
        b=("touch b", ""),
    )
    assert outcomes(run, "locked_a", "locked_b", "b") == ["passed"] * 3


@pytest.fixture
def psu(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[LockSet]:
    """A lock that another run holds."""
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(bench.root / "locks"))
    held = locks.acquire(["psu"], run="run-2", step="recipes/y.yaml::m")
    assert held is not None
    with held:
        yield held


def test_a_step_that_waits_for_a_lock_of_another_process_holds_no_slot(
    bench: Bench, pool: Callable[..., RecipeRun], psu: LockSet
) -> None:
    run = pool(
        jobs=1,
        locked_a=("true", ""),
        locked_b=("true", ""),
        b=("until [ -e over ]; do sleep 0.01; done", ""),
    )

    def release() -> None:
        until(lambda: _runs(run, "b"))
        psu.release()
        (bench.root / "over").touch()

    thread = threading.Thread(target=release)
    thread.start()
    assert outcomes(run, "locked_a", "locked_b", "b") == ["passed"] * 3
    thread.join()


def _runs(run: RecipeRun, name: str) -> bool:
    task = run.workers.tasks.get(name)
    return task is not None and task.lease.is_held


def test_a_step_without_a_slot_holds_no_lock(
    bench: Bench, pool: Callable[..., RecipeRun], psu: LockSet
) -> None:
    run = pool(jobs=1, locked_a=("true", ""), b=("until [ -e over ]; do sleep 0.01; done", ""))

    def hold_elsewhere() -> None:
        until(lambda: _runs(run, "b"))
        psu.release()
        queue = run.workers._queue  # noqa: SLF001
        until(lambda: run.workers.tasks["locked_a"] in {task for *_, task in queue._entries})  # noqa: SLF001
        held = locks.acquire(["psu"], run="run-2", step="recipes/y.yaml::m")
        (bench.root / "over").touch()
        assert held is not None
        held.release()

    watch = threading.Thread(target=hold_elsewhere)
    watch.start()
    assert outcomes(run, "locked_a", "b") == ["passed", "passed"]
    watch.join()


@pytest.mark.parametrize("whole", [False, True])
def test_a_cancel_ends_waits_for_locks(
    bench: Bench, pool: Callable[..., RecipeRun], psu: LockSet, whole: bool
) -> None:
    run = pool(top="locks: [psu]\n" * whole, locked_a=("true", ""), b=("true", ""), c=("true", ""))
    threads = set(threading.enumerate())
    run.workers.request(run.recipe.step("locked_a"))
    if not whole:
        until(lambda: _ended(run, "b") and _ended(run, "c"))
    begun = time.monotonic()
    run.cancel("over")
    assert time.monotonic() - begun < PATIENCE
    until(lambda: threads.issuperset(threading.enumerate()))
    assert sorted(run.results) == ([] if whole else ["b", "c"])


def test_a_second_signal_kills_without_a_grace_period(
    pool: Callable[..., RecipeRun], monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = partial(CommandRequest, grace=2 * PATIENCE)
    monkeypatch.setattr("pytest_orchestrator.execution.steps.shell.CommandRequest", endless)
    run = pool(
        a=("touch a; exec sleep 600", ""),
        b=("trap '' TERM; touch b; while :; do sleep 600; done", ""),
    )
    sent: list[float] = []
    is_waiting = threading.Event()

    def interrupt() -> None:
        for name in ("a", "b"):
            until((run.config.root / name).exists)
        while len(sent) < 2 and is_waiting.is_set():  # a later signal would interrupt the tests
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: "a" in _over(run))

    thread = threading.Thread(target=interrupt)
    is_waiting.set()
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            run.result(run.recipe.step("a"))
    finally:
        is_waiting.clear()
    assert time.monotonic() - sent[1] < PATIENCE
    thread.join()
    assert failure_of(run.results["b"])[0] == "interrupted"


def _over(run: RecipeRun) -> set[str]:
    return set(run.workers.tasks) - {task.step.name for task in run.workers._running}  # noqa: SLF001


def test_locks_named_by_expressions_exclude_each_other(
    bench: Bench, slot: Slot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_LOCK_DIR", str(bench.root / "locks"))
    alone = json.dumps(["sh", "-c", "mkdir one || exit 3; sleep 0.1; rmdir one"])
    keys = f"type: shell, parse: text, needs: [], cmd: {alone}"
    names = ("${{ vars.psu }}", "${{ vars.supply }}", "left")
    lines = [
        f"  - {{name: s{number}, locks: ['{name}'], {keys}}}" for number, name in enumerate(names)
    ]
    head = "locks: [bench]\nvars: {psu: left, supply: left}\nsteps:\n"
    recipe = bench.recipe(head + "\n".join(lines) + "\n")
    run = RecipeRun(
        recipe, bench.context, bench.attempt, slots=[slot, slot.new_slot(), slot.new_slot()]
    )
    run.workers.plan({step.name: StepDependencies() for step in recipe.steps})
    assert outcomes(run, "s0", "s1", "s2") == ["passed"] * 3
    run.finish()


class _Threads:
    """Limits the number of living threads, as ``ulimit -u`` does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
        start, alive = threading.Thread.start, threading.active_count()

        def refused(thread: threading.Thread) -> None:
            if threading.active_count() - alive >= most:
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refused)


@pytest.mark.parametrize("most", [0, 1, 2])
def test_fewer_steps_run_at_a_time_if_threads_are_limited(
    pool: Callable[..., RecipeRun], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"s{number}" for number in range(12)]
    run = pool(**{name: (_recording(name), "") for name in names}, retried=("[ -e x ] || ! >x", ""))
    _Threads(monkeypatch, most)

    assert outcomes(run, *names, "retried", "off") == ["passed"] * 14
    assert sorted(ran(run)) == sorted([*names, "off"])
    assert run.results["retried"].attempt == 2


def test_a_loop_runs_in_one_slot_and_a_cancel_ends_it_at_its_element(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(
        jobs=2,
        loop=("echo loop >> ran", ""),
        long_loop=(
            f"echo at >> begun; test $(wc -l < begun) = 1 || {{ {_ENDS.format('l', ':')} }}",
            "",
        ),
    )
    assert outcomes(run, "loop") == ["passed"]
    begun = run.config.root / "begun"
    until(lambda: begun.exists() and begun.read_text().count("at") == 2)
    run.cancel("the session ends")
    result = run.results["long_loop"]
    assert failure_of(result)[0] == "interrupted"
    assert [one.state for one in result.elements or ()] == ["passed", "interrupted", "not run"]
    assert ran(run) == ["loop"] * 3


def test_a_cancel_ends_the_wait_between_two_attempts_of_an_element(
    pool: Callable[..., RecipeRun],
) -> None:
    run = pool(jobs=2, a=("true", ""), retried_late_loop=("echo x >> ran; false", ""))
    assert outcomes(run, "a") == ["passed"]
    until(lambda: ran(run) == ["x"])
    began = time.monotonic()
    run.cancel("the session ends")
    assert time.monotonic() - began < PATIENCE
    result = run.results["retried_late_loop"]
    assert [one.state for one in result.elements or ()] == ["interrupted", "not run", "not run"]
