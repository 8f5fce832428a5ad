"""Attempts of a step, the delays between them, and the names of locks."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.recipe import Recipe
from pytest_orchestrator.recipe.model.options import Retry

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

DAY = 86_400.0


def step(keys: str) -> str:
    return f"steps:\n  - {{name: a, type: shell, cmd: ls, {keys}}}\n"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{attempts: 3}", Retry(attempts=3, delay=0.0, backoff=1.0)),
        ("{attempts: 1, delay: 0}", Retry(attempts=1, delay=0.0)),
        ("{attempts: 3, delay: 500ms, backoff: 1.5}", Retry(attempts=3, delay=0.5, backoff=1.5)),
    ],
)
def test_a_retry_is_read(written: str, expected: Retry, read: Read) -> None:
    assert read(step(f"retry: {written}")).steps[0].retry == expected


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            "3",
            (
                "2:44 'retry' in shell step 'a' is a number, should be a mapping "
                "(write retry: {attempts: 3})"
            ),
        ),
        ("{}", "2:44 'retry' is missing 'attempts' in shell step 'a'"),
        ("{delay: 1}", "2:44 'retry' is missing 'attempts' in shell step 'a'"),
        ("{attempts: 0}", "2:55 'retry.attempts' in shell step 'a' is 0, should be 1 to 1000"),
        (
            "{attempts: x}",
            "2:55 'retry.attempts' in shell step 'a' is text, should be a whole number",
        ),
        (
            "{attempts: 2, delay: -1}",
            "2:65 'retry.delay' in shell step 'a' is -1, should be 0 seconds to a day",
        ),
        pytest.param(
            "{attempts: 2, delay: soon}",
            "2:65 'retry.delay' in shell step 'a' is 'soon', should be seconds, or a text such "
            "as 500ms, 30s, 2m or 1h",
        ),
        (
            "{attempts: 2, backoff: 0.5}",
            "2:67 'retry.backoff' in shell step 'a' is 0.5, should be 1 to 1000",
        ),
        (
            "{attempt: 2}",
            "2:45 unknown key 'attempt' in 'retry' in shell step 'a' (did you mean 'attempts'?)",
        ),
    ],
)
def test_a_problem_of_a_retry_is_reported_once(
    written: str, message: str, problems: Problems
) -> None:
    assert problems(step(f"retry: {written}")) == [message]


@given(st.floats(0, DAY), st.floats(1, 1000), st.integers(1, 1000))
def test_a_delay_never_decreases_and_is_at_most_a_day(
    delay: float, backoff: float, attempt: int
) -> None:
    retry = Retry(attempts=1000, delay=delay, backoff=backoff)
    assert retry.pause(1) == delay
    assert retry.pause(attempt) <= retry.pause(attempt + 1) <= DAY
    assert retry.pause(2) == min(delay * backoff, DAY)
    assert retry.pause(3) == min(delay * backoff**2, DAY)


def test_locks_of_a_recipe_and_of_a_step_are_read(read: Read) -> None:
    recipe = read("locks: [bench 3]\n" + step("locks: [psu, /dev/ttyUSB0]"))
    assert recipe.locks == ("bench 3",)
    assert recipe.steps[0].locks == ("psu", "/dev/ttyUSB0")


def test_a_lock_has_a_name(problems: Problems) -> None:
    assert problems("locks: ['']\n" + step("locks: psu")) == [
        "1:9 'locks[0]' is '', should not be empty",
        "3:44 'locks' in shell step 'a' is text, should be a list (write [psu])",
    ]
