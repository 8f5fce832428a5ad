"""One attempt of a step: its step code, then its criteria, then its StepResult."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from benchmarks.faults import alive, new_token
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Failure, Stream, Verdict
from pytest_orchestrator.execution.lanes.lane import Lane
from pytest_orchestrator.recipe.model.step import Step

if TYPE_CHECKING:
    from tests.execution.conftest import Bench


def test_a_passed_step_reports_its_changes_of_the_context(bench: Bench) -> None:
    before = time.time()
    step = bench.python_step(
        """
        def step(ctx, params):
            ctx.get("not.there")
            ctx.set("a", 1)
            ctx.append("l", 2)
            ctx.set("a", 3, who="bench")
            return {"status": "ok", "v": 1}
        """,
        success={"ctx_has_keys": ["a", "l.0"]},
    )
    result = bench.result(step)
    assert (result.step, result.outcome, result.meets) == ("s", "passed", True)
    assert (result.failure, result.reason, result.blocked_by) == (None, "", None)
    assert [(one.key, one.op, one.who) for one in result.changes] == [
        ("a", "set", "s"),
        ("l", "append", "s"),
        ("a", "set", "bench"),
    ]
    assert result.missed == ("not.there",)
    assert [(one.expected, one.unmet) for one in result.verdicts] == [("a", None), ("l.0", None)]
    assert result.ended is not None
    assert result.ended.value == {"status": "ok", "v": 1}
    assert before <= result.started <= time.time()


@pytest.mark.parametrize("keys", [{}, {"success": {"exit_code": 0}}])
def test_a_verdict_of_the_baseline_fails_a_step_with_and_without_criteria(
    bench: Bench, keys: dict[str, object]
) -> None:
    slower = Verdict(name="seconds", expected=1, place=Place(1, 1), unmet="took 2 s, usually 1 s")
    bench.configure(more_verdicts=lambda *_: (slower,))
    result = bench.result(bench.shell_step("true", parse="text", **keys))
    assert result.outcome == "failed"
    assert result.failure is not None
    assert result.failure.kind == "criterion"
    assert result.failure.reason == "seconds: took 2 s, usually 1 s"


def test_unmet_criteria_fail_the_step_with_the_first_as_the_reason(bench: Bench) -> None:
    step = bench.python_step(
        "def step(): return {'status': 'ok'}\n",
        success={"files_exist": ["recipes", "a", "b"]},
    )
    result = bench.result(step)
    assert (result.outcome, result.meets) == ("failed", False)
    assert result.failure == Failure(
        kind="criterion",
        reason="files_exist: a is not there (and 1 more)",
        place=Place(6, 42, 3),
    )
    assert [one.expected for one in result.unmet] == ["a", "b"]


def test_criteria_are_not_checked_if_the_step_code_failed(bench: Bench) -> None:
    step = bench.shell_step("exit 3", parse="text", success={"files_exist": ["a"]})
    result = bench.result(step)
    assert (result.outcome, result.verdicts) == ("failed", ())
    assert result.failure is not None
    assert result.failure.kind == "exit_code"


def test_the_exit_code_is_the_first_criterion(bench: Bench) -> None:
    success = {"files_exist": ["recipes"], "exit_code": 3}
    result = bench.result(bench.shell_step("exit 3", parse="text", success=success))
    assert result.outcome == "passed"
    assert [one.name for one in result.verdicts] == ["exit_code", "files_exist"]


def test_other_criteria_are_reported_besides_an_unexpected_exit_code(bench: Bench) -> None:
    success = {"exit_code": 0, "files_exist": ["a", "recipes"], "assert": ["exit_code == 3"]}
    result = bench.result(bench.shell_step("exit 3", parse="text", success=success))
    assert result.failure is not None
    assert (result.failure.kind, result.failure.reason) == (
        "exit_code",
        "exit code 3, expected 0 (and 1 more)",
    )
    assert [(one.name, one.unmet) for one in result.verdicts] == [
        ("exit_code", "exit code 3, expected 0"),
        ("files_exist", "a is not there"),
        ("files_exist", None),
        ("assert", None),
    ]


def test_a_criterion_without_a_value_is_left_out_after_an_unexpected_exit_code(
    bench: Bench,
) -> None:
    success = {"exit_code": 0, "assert": ["result.v == 3"]}
    result = bench.result(bench.shell_step("exit 3", success=success))
    assert result.failure is not None
    assert result.failure.kind == "exit_code"
    assert [one.name for one in result.verdicts] == ["exit_code"]


def test_dependants_of_a_step_that_skips_itself_may_run(bench: Bench) -> None:
    step = bench.shell_step(
        """echo '{"status": "skip", "reason": "no PSU"}'""", success={"files_exist": ["a"]}
    )
    result = bench.result(step)
    assert (result.outcome, result.reason, result.meets) == ("skipped", "no PSU", True)
    assert (result.failure, result.verdicts) == (None, ())


def test_a_criterion_sees_a_file_that_the_step_wrote(bench: Bench) -> None:
    step = bench.shell_step("touch made", parse="text", success={"files_exist": ["made"]})
    assert bench.result(step).outcome == "passed"


def test_an_unknown_step_type_raises_type_error(bench: Bench) -> None:
    bench.shell_step("true")
    with pytest.raises(TypeError, match="no step code is known for Step"):
        bench.result(Step(name="s"))


def test_a_result_is_frozen(bench: Bench) -> None:
    result = bench.result(bench.shell_step("true", parse="text"))
    with pytest.raises(AttributeError):
        result.outcome = "failed"  # type: ignore[misc]
    assert msgspec.structs.replace(result, outcome="failed") != result


def test_a_stuck_lane_is_a_timeout_and_its_process_tree_is_ended(bench: Bench) -> None:
    token = new_token()
    script = f"trap '' TERM; setsid sleep {token} & kill -STOP $PPID; sleep {token}"
    result = bench.result(bench.shell_step(["sh", "-c", script], timeout="100ms"))
    assert result.failure is not None
    assert (result.failure.kind, re.sub(r"pid \d+", "pid", result.failure.reason)) == (
        "timeout",
        "timeout: still running after 0.1 s; the process that runs this step (pid) did not answer",
    )
    assert alive(token) == []
    assert bench.result(bench.shell_step("true", parse="text")).outcome == "passed"


def test_the_start_of_a_step_is_not_before_that_of_its_lane(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = Lane._connected  # noqa: SLF001
    connected_at: list[float] = []

    def note_time(lane: Lane) -> tuple[Any, int]:
        connection = connect(lane)
        connected_at.append(time.time())
        return connection

    monkeypatch.setattr(Lane, "_connected", note_time)

    result = bench.result(bench.shell_step("sleep 0.01; echo ok", parse="text"))

    assert result.ended is not None
    assert connected_at[-1] <= result.started
    assert result.started + result.ended.usage.seconds <= result.stopped


def test_an_interrupted_step_keeps_its_output(bench: Bench) -> None:
    log = bench.root / "logs/s.1.stderr"

    def interrupt() -> None:
        while not (log.exists() and log.read_bytes() == b"warm\n"):
            time.sleep(0.005)
        raise KeyboardInterrupt

    bench.configure(on_idle=interrupt)
    tries = bench.retry_loop(bench.shell_step("echo warm >&2; sleep 600", parse="text"))
    assert tries.prepare() is None
    with pytest.raises(KeyboardInterrupt):
        tries.run()

    result = tries.interrupted(0.0, "Ctrl-C")

    assert result.failure is not None
    assert re.fullmatch(r"interrupted after \d\.\d s: Ctrl-C", result.failure.reason)
    assert result.ended is not None
    assert result.ended.process is not None
    assert (result.ended.process.stdout, result.ended.process.stderr) == (
        Stream(),
        Stream("warm\n", 5, str(log), kept=5),
    )
    assert result.started + result.ended.usage.seconds == pytest.approx(result.stopped)


def test_an_interrupted_step_keeps_its_log_records(bench: Bench) -> None:
    source = """
    import logging

    def step():
        logging.getLogger("psu").warning("hot")
        raise KeyboardInterrupt
    """
    tries = bench.retry_loop(bench.python_step(source))
    assert tries.prepare() is None
    with pytest.raises(KeyboardInterrupt):
        tries.run()

    result = tries.interrupted(0.0, "Ctrl-C")

    log = bench.root / "logs/s.1.log"
    assert log.read_text().endswith(" hot\n")
    assert result.ended is not None
    assert result.ended.log == Stream(size=log.stat().st_size, log=str(log))
