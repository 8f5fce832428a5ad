"""Failure and skip reason that the result of a step reports, in one line."""

import pytest

from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.core.text import MAX_TEXT, clipped
from pytest_orchestrator.execution.outcome import failure_of, skip_of, with_clipped_reason


@pytest.mark.parametrize("status", ["ok", "success", "skip"])
def test_a_good_status_causes_no_failure(status: str) -> None:
    assert failure_of({"status": status, "reason": "none"}, "stdout") is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"status": "fail", "reason": "hot"}, "status 'fail': hot"),
        ({"status": "fail", "error": "cold"}, "status 'fail': cold"),
        ({"status": "OK", "message": "loud"}, "status 'OK': loud"),
        ({"status": "fail"}, "status 'fail', no reason given"),
        ({"status": "fail", "reason": ""}, "status 'fail', no reason given"),
        ({"status": None}, "a status that is null, no reason given"),
        ({"status": True}, 'a status that is true is no success: write {"status": "ok"}'),
        ({"status": "PASS"}, 'status \'PASS\' is no success: write {"status": "ok"}'),
        ({"status": "PASS", "reason": "x"}, "status 'PASS': x"),
        ({"status": [1], "reason": {"a": 1}}, "a status that is [1]: {'a': 1}"),
        ({"status": "fail", "reason": "one\n  two\t\x1b[31m"}, "status 'fail': one two"),
        ({"status": "fail", "reason": "x" * 1000}, f"status 'fail': {'x' * 284}…"),
        ({}, "stdout has no status (its keys: none); ok, success or skip is expected"),
        (
            {"b": 1, "a": "\n"},
            "stdout has no status (its keys: a, b); ok, success or skip is expected",
        ),
    ],
)
def test_any_other_status_is_a_failure_with_its_reason(value: Json, reason: str) -> None:
    assert failure_of(value, "stdout") == Failure(kind="status", reason=reason)


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "None"), ([], "a list"), ("ok", "text"), (True, "a boolean")]
)
def test_a_result_that_is_no_mapping_has_no_status(value: Json, kind: str) -> None:
    assert failure_of(value, "what run returned") == Failure(
        kind="protocol",
        reason=f"what run returned is {kind}; a mapping with a status is expected, "
        'such as {"status": "ok"}',
    )


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ({"status": "skip", "reason": "no PSU\nhere"}, "no PSU here"),
        ({"status": "skip"}, "the step says skip"),
        ({"status": "skip", "reason": 7}, "7"),
        ({"status": "ok"}, None),
        ("skip", None),
    ],
)
def test_a_step_skips_itself_with_its_reason(value: Json, reason: str | None) -> None:
    assert skip_of(value) == reason


@pytest.mark.parametrize("key", ["reason", "error", "message"])
@pytest.mark.parametrize("status", ["error", "skip"])
def test_the_reason_of_a_result_is_cut_in_the_middle(status: str, key: str) -> None:
    long = "a" * MAX_TEXT + "b" * MAX_TEXT
    value: Json = {"status": status, key: long, "data": long}
    expected = {"status": status, key: clipped(long), "data": long}
    assert with_clipped_reason(value) == expected


@pytest.mark.parametrize(
    "value",
    [{"status": "ok", "message": "x" * 2 * MAX_TEXT}, {"status": "error", "reason": 7}, {}, [1]],
)
def test_a_result_without_a_long_reason_is_unchanged(value: Json) -> None:
    assert with_clipped_reason(value) is value
