"""Pattern search, limited by the timeout of the step."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.text import compile_pattern
from pytest_orchestrator.execution.lanes import pattern_search
from pytest_orchestrator.execution.lanes.pattern_search import (
    Searches,
    SearchInterrupted,
    SearchTimeout,
    is_quick,
)
from pytest_orchestrator.execution.scheduling.run import RecipeRun
from pytest_orchestrator.execution.text_search import Searched, bytes_of
from tests.tiers import kept_first

if TYPE_CHECKING:
    from types import FrameType

    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.lanes.messages import CommandResult
    from tests.execution.conftest import Bench

ENDLESS = "(a|aa)+$"
LINE = "a" * 80 + "!"
BACKTRACKS = f"was still searching after 0.3 s (its pattern backtracks: '{ENDLESS}')"
STILL = "was still checking after 0.3 s (a pattern or a reference in it takes too long)"
NEST: dict[str, Any] = {
    f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(40)
}


@pytest.fixture(autouse=True)
def _short_searches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give searches a timeout below a second, unless the test is about the second."""
    if "second" not in request.node.name:
        monkeypatch.setattr(pattern_search, "LEAST", 0.1)


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"success": {"stdout_matches": ["a", ENDLESS]}}, f"`stdout_matches` {BACKTRACKS}"),
        pytest.param(
            {"outputs": {"o.x": {"from": "stdout", "regex": ENDLESS, "default": 1}}},
            f"`outputs.o.x` {BACKTRACKS}",
            marks=pytest.mark.nightly,
        ),
        pytest.param(
            {"success": {"files": [{"path": "*.txt", "matches": [ENDLESS]}]}},
            f"`files.matches` {BACKTRACKS}",
            marks=pytest.mark.nightly,
        ),
        (
            {"parse": "data", "success": {"result_schema": {"pattern": ENDLESS}}},
            f"`result_schema` {STILL}",
        ),
    ],
)
def test_a_backtracking_pattern_ends_at_the_timeout_of_its_step(
    bench: Bench, keys: dict[str, Any], reason: str
) -> None:
    quote = '"' if "parse" in keys else ""
    cmd = f"echo '{quote}{LINE}{quote}' | tee out.txt"
    failure = bench.result(
        bench.shell_step(cmd, **{"parse": "text", "timeout": "0.3s"} | keys)
    ).failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", f"timeout: {reason}")
    assert failure.place is not None
    assert failure.place.line == 7


def test_an_exponential_schema_ends_at_the_timeout_of_its_step(
    bench: Bench,
) -> None:
    schema = {"$defs": {**NEST, "d40": {"type": "number"}}, "$ref": "#/$defs/d0"}
    step = bench.shell_step(
        "echo 1", parse="data", timeout="0.3s", success={"result_schema": schema}
    )
    failure = bench.result(step).failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", f"timeout: `result_schema` {STILL}")
    assert failure.place == step.success[0].place


def test_a_pattern_of_an_inline_step_is_searched_in_the_lane_of_its_slot(
    bench: Bench,
) -> None:
    bench.write("out.txt", LINE)
    success = {"files": [{"path": "out.txt", "matches": ENDLESS}]}
    step = bench.python_step(
        "def step(ctx, params): return {'status': 'ok'}", timeout="0.3s", success=success
    )
    failure = bench.result(step).failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", f"timeout: `files.matches` {BACKTRACKS}")


@pytest.mark.parametrize(
    ("success", "count"),
    [
        ({"stdout_matches": ["a+!", "^a*"], "files": [{"path": "out.txt", "matches": "a?"}]}, 0),
        ({"stdout_matches": ["^a", r"\bx", "[^b]$"]}, 0),
        ({"result_schema": {"properties": {"status": {"pattern": "^o"}}}}, 1),
        ({"result_schema": {"required": ["status"]}}, 0),
    ],
)
def test_only_a_schema_that_may_take_long_is_checked_in_the_lane(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, success: dict[str, Any], count: int
) -> None:
    assert bench.attempt.slot is not None
    lane = bench.attempt.slot.shell
    run, requests = lane.run, list[object]()

    def recorded(request: Any, **more: Any) -> CommandResult:
        requests.append(request)
        return run(request, **more)

    monkeypatch.setattr(lane, "run", recorded)
    bench.result(bench.shell_step(f"echo {LINE} | tee out.txt", parse="text", success=success))
    assert sum(hasattr(one, "module") for one in requests) == count


def test_a_search_ends_when_its_step_is_ended(slot: Slot) -> None:
    slot = slot.new_slot()  # other tests use the fixture's, which stays cancelled
    ended: list[BaseException] = []

    def search() -> None:
        where = bytes_of(LINE.encode(), name="stdout")
        try:
            Searches(slot).first(ENDLESS, where, "stdout_matches")
        except SearchInterrupted as error:
            ended.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    slot.end_programs(late=False, at_once=True)
    thread.join()
    assert len(ended) == 1


def test_ctrl_c_ends_a_search(slot: Slot) -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    where = bytes_of(LINE.encode(), name="stdout")
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            Searches(slot).first(ENDLESS, where, "stdout_matches")
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_search_in_a_missing_file_raises_an_error(slot: Slot) -> None:
    where = Searched("gone", (("/nowhere/at/all", 5),))
    with pytest.raises(FileNotFoundError):
        Searches(slot).first("a+", where, "files.matches")


def test_searches_after_long_step_code_get_a_second(slot: Slot) -> None:
    where = bytes_of(b"aab", name="stdout")
    late = Searches(slot, 3600.0, spent=3600.0)
    found = late.first("a+b", where, "stdout_matches")
    assert found is not None
    with pytest.raises(SearchTimeout, match="after 3600 s"):
        late.first(ENDLESS, bytes_of(LINE.encode(), name="stdout"), "stdout_matches")


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.text("ab\n é1", max_size=9).map(str.encode), min_size=1, max_size=3),
    st.sampled_from(["a+", "(b)|a", "^a*$", "(é?)1", r"\s{2}", "(x)?a", "b$", r"(?<=a)b+"]),
)
def test_a_search_that_can_be_interrupted_finds_the_same_as_any_other(
    slot: Slot, pieces: list[bytes], pattern: str
) -> None:
    where = bytes_of(*pieces, name="stdout")
    found = Searches(slot).first(pattern, where, "stdout_matches")
    assert found == where.first(compile_pattern(pattern))


@settings(deadline=None)
@given(st.text("ab^$.[]()\\dws", max_size=12))
def test_only_a_short_pattern_without_repetition_is_quick(pattern: str) -> None:
    assert is_quick(pattern)
    assert not is_quick(f"{pattern}*")
    assert not is_quick(f"{pattern}|a")
    assert not is_quick(pattern + "a" * 201)


SLOW = "range(10**5)|reject('in',range(10**5)|list)|list"
WHOLE = f"${{{{ {SLOW} }}}}"


@pytest.mark.parametrize(
    "keys",
    kept_first(
        [
            {"measurements": {"m": {"value": SLOW, "low": 1}}},
            {"outputs": {"o.x": WHOLE}},
            {"success": {"stdout_contains": WHOLE}},
            {"args": {"X": WHOLE}},
            {"retry": {"attempts": 1, "until": SLOW}},
        ],
        {"success": {"assert": ["1 == 1", SLOW]}},
        {"if_": SLOW},
    ),
)
def test_an_expression_ends_at_the_timeout_of_its_step(bench: Bench, keys: dict[str, Any]) -> None:
    step = bench.shell_step("echo x", parse="text", timeout="0.3s", **keys)
    failure = bench.result(step).failure
    assert failure is not None
    reason = f"timeout: `{SLOW}`: still evaluating after 0.3 s"
    assert (failure.kind, failure.reason) == ("timeout", reason)
    assert failure.place is not None
    assert failure.place.line == 7


def test_a_readiness_pattern_ends_at_the_timeout_of_ready(bench: Bench) -> None:
    text = (
        "steps:\n  - {name: a, type: shell, background: true, "
        f"cmd: \"echo '{LINE}'; exec sleep 60\", "
        f"ready: {{stdout_matches: '{ENDLESS}', timeout: 0.5s}}}}\n"
    )
    run = RecipeRun(bench.recipe(text), bench.context, bench.attempt)
    failure = run.result(run.recipe.step("a")).failure
    run.finish()
    assert failure is not None
    reason = f"not ready after 0.5 s: stdout does not match '{ENDLESS}'"
    assert (failure.kind, failure.reason) == ("timeout", reason)
