"""Patterns are searched in a lane, within what is left of the time of their step."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.text import compile_pattern
from pytest_orchestrator.execution.lanes.pattern_search import (
    Query,
    Searches,
    SearchInterrupted,
    SearchTimeout,
    is_quick,
)
from pytest_orchestrator.execution.scheduling.serial import RecipeRun
from pytest_orchestrator.execution.text_search import Searched, bytes_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.lanes.messages import CommandResult
    from tests.execution.conftest import Bench

ENDLESS = "(a+)+$"
LINE = "a" * 40 + "!"
BACKTRACKS = f"was still searching after 1 s (its pattern backtracks: '{ENDLESS}')"
STILL = "was still checking after 1 s (a pattern or a reference in it takes too long)"
NEST: dict[str, Any] = {
    f"d{at}": {"allOf": [{"$ref": f"#/$defs/d{at + 1}"}] * 2} for at in range(40)
}


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"success": {"stdout_matches": ["a", ENDLESS]}}, f"`stdout_matches` {BACKTRACKS}"),
        (
            {"outputs": {"o.x": {"from": "stdout", "regex": ENDLESS, "default": 1}}},
            f"`outputs.o.x` {BACKTRACKS}",
        ),
        (
            {"success": {"files": [{"path": "*.txt", "matches": [ENDLESS]}]}},
            f"`files.matches` {BACKTRACKS}",
        ),
        (
            {"parse": "data", "success": {"result_schema": {"pattern": ENDLESS}}},
            f"`result_schema` {STILL}",
        ),
    ],
)
def test_a_pattern_that_backtracks_ends_with_the_time_of_its_step(
    bench: Bench, keys: dict[str, Any], told: str
) -> None:
    quote = '"' if "parse" in keys else ""
    cmd = f"echo '{quote}{LINE}{quote}' | tee out.txt"
    failure = bench.result(
        bench.shell_step(cmd, **{"parse": "text", "timeout": "1s"} | keys)
    ).failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", f"timeout: {told}")
    assert failure.place is not None
    assert failure.place.line == 7


def test_a_schema_that_refers_to_itself_too_often_ends_with_the_time_of_its_step(
    bench: Bench,
) -> None:
    schema = {"$defs": {**NEST, "d40": {"type": "number"}}, "$ref": "#/$defs/d0"}
    step = bench.shell_step("echo 1", parse="data", timeout="1s", success={"result_schema": schema})
    failure = bench.result(step).failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", f"timeout: `result_schema` {STILL}")
    assert failure.place == step.success[0].place


def test_a_pattern_of_a_step_in_this_process_is_searched_in_the_lane_of_its_slot(
    bench: Bench,
) -> None:
    bench.write("out.txt", LINE)
    success = {"files": [{"path": "out.txt", "matches": ENDLESS}]}
    step = bench.python_step(
        "def step(ctx, params): return {'status': 'ok'}", timeout="1s", success=success
    )
    failure = bench.result(step).failure
    assert failure is not None
    assert (failure.kind, failure.reason) == ("timeout", f"timeout: `files.matches` {BACKTRACKS}")


@pytest.mark.parametrize(
    ("success", "asked"),
    [
        ({"stdout_matches": ["a+!", "^a*"], "files": [{"path": "out.txt", "matches": "a?"}]}, 1),
        ({"stdout_matches": ["^a", r"\bx", "[^b]$"]}, 0),
        ({"result_schema": {"properties": {"status": {"pattern": "^o"}}}}, 1),
        ({"result_schema": {"required": ["status"]}}, 0),
    ],
)
def test_all_searches_of_a_step_are_one_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, success: dict[str, Any], asked: int
) -> None:
    assert bench.env.slot is not None
    lane = bench.env.slot.shell
    run, requests = lane.run, list[object]()

    def noted(request: Any, **more: Any) -> CommandResult:
        requests.append(request)
        return run(request, **more)

    monkeypatch.setattr(lane, "run", noted)
    bench.result(bench.shell_step(f"echo {LINE} | tee out.txt", parse="text", success=success))
    assert sum(hasattr(one, "module") for one in requests) == asked


def test_a_search_ends_when_its_step_is_ended(slot: Slot) -> None:
    ended: list[BaseException] = []

    def search() -> None:
        where = bytes_of(LINE.encode(), name="stdout")
        try:
            Searches(slot).first(Query(where, ENDLESS, "stdout_matches", None))
        except SearchInterrupted as error:
            ended.append(error)

    thread = threading.Thread(target=search)
    thread.start()
    while thread.is_alive():
        slot.shell.cancel(at_once=True)
        thread.join(0.01)
    assert len(ended) == 1


def test_a_search_that_its_system_ends_is_no_match(slot: Slot) -> None:
    where = Searched("gone", (("/nowhere/at/all", 5),))
    with pytest.raises(RuntimeError) as caught:
        Searches(slot).first(Query(where, "a+", "files.matches", None))
    told = "[Errno 2] No such file or directory: '/nowhere/at/all'"
    assert str(caught.value) == (f"the search ended with exit code 1: FileNotFoundError: {told}")


def test_what_follows_a_long_body_has_a_second(slot: Slot) -> None:
    where = bytes_of(b"aab", name="stdout")
    late = Searches(slot, 3600.0, spent=3600.0)
    found = late.first(Query(where, "a+b", "stdout_matches", None))
    assert found is not None
    with pytest.raises(SearchTimeout, match="after 3600 s"):
        late.first(Query(bytes_of(LINE.encode(), name="stdout"), ENDLESS, "stdout_matches", None))


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(st.text("ab\n é1", max_size=9).map(str.encode), min_size=1, max_size=3),
    st.lists(
        st.sampled_from(["a+", "(b)|a", "^a*$", "(é?)1", r"\s{2}", "(x)?a", "b$", r"(?<=a)b+"]),
        min_size=1,
        max_size=4,
    ),
)
def test_a_lane_finds_what_this_process_finds(
    slot: Slot, pieces: list[bytes], wanted: list[str]
) -> None:
    where = bytes_of(*pieces, name="stdout")
    queries = [Query(where, one, "stdout_matches", None) for one in wanted]
    searches = Searches(slot)
    searches.ahead(queries)
    assert [searches.first(one) for one in queries] == [
        where.first(compile_pattern(one)) for one in wanted
    ]


@settings(deadline=None)
@given(st.text("ab^$.[]()\\dws", max_size=12))
def test_a_pattern_is_quick_only_where_it_repeats_nothing(pattern: str) -> None:
    assert is_quick(pattern)
    assert not is_quick(f"{pattern}*")
    assert not is_quick(f"{pattern}|a")
    assert not is_quick(pattern + "a" * 201)


SLOW = "range(10**5)|reject('in',range(10**5)|list)|list"
WHOLE = f"${{{{ {SLOW} }}}}"


@pytest.mark.parametrize(
    "keys",
    [
        {"success": {"assert": ["1 == 1", SLOW]}},
        {"measurements": {"m": {"value": SLOW, "low": 1}}},
        {"outputs": {"o.x": WHOLE}},
        {"success": {"stdout_contains": WHOLE}},
        {"if_": SLOW},
        {"args": {"X": WHOLE}},
        {"retry": {"attempts": 1, "until": SLOW}},
    ],
)
def test_an_expression_of_a_step_ends_with_its_time(bench: Bench, keys: dict[str, Any]) -> None:
    step = bench.shell_step("echo x", parse="text", timeout="1s", **keys)
    failure = bench.result(step).failure
    assert failure is not None
    told = f"timeout: `{SLOW}`: still evaluating after 1 s"
    assert (failure.kind, failure.reason) == ("timeout", told)
    assert failure.place is not None
    assert failure.place.line == 7


def test_the_readiness_of_a_service_is_searched_within_its_time(bench: Bench) -> None:
    text = (
        "steps:\n  - {name: a, type: shell, background: true, "
        f"cmd: \"echo '{LINE}'; exec sleep 60\", "
        f"ready: {{stdout_matches: '{ENDLESS}', timeout: 0.5s}}}}\n"
    )
    run = RecipeRun(bench.recipe(text), bench.context, bench.env)
    failure = run.result(run.recipe.step("a")).failure
    run.over()
    assert failure is not None
    told = f"not ready after 0.5 s: stdout does not match '{ENDLESS}'"
    assert (failure.kind, failure.reason) == ("timeout", told)
