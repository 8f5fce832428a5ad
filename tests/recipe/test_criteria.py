"""What may be asked of a step, and where it stands."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.core.place import Place
from pytest_orchestrator.recipe import Criterion, Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]


def shell(success: str) -> str:
    return f"steps:\n- type: shell\n  name: a\n  cmd: ls\n  success: {success}\n"


@pytest.mark.parametrize(
    ("written", "criteria"),
    [
        ("{stdout_contains: PASS}", [("stdout_contains", "PASS", Place(5, 30, 4))]),
        (
            "{stderr_matches: ['^a', b]}",
            [
                ("stderr_matches", "^a", Place(5, 30, 4)),
                ("stderr_matches", "b", Place(5, 36, 1)),
            ],
        ),
        ("{max_seconds: 3}", [("max_seconds", 3, Place(5, 26, 1))]),
        ("{max_rss_mb: 1.5}", [("max_rss_mb", 1.5, Place(5, 25, 3))]),
        ("{leftover_processes: 0}", [("leftover_processes", 0, Place(5, 33, 1))]),
        (
            "{files_absent: [a, 'b*']}",
            [
                ("files_absent", "a", Place(5, 28, 1)),
                ("files_absent", "b*", Place(5, 31, 4)),
            ],
        ),
        ("{ctx_lacks_keys: [a.b]}", [("ctx_lacks_keys", "a.b", Place(5, 30, 3))]),
    ],
)
def test_each_thing_that_is_asked_for_is_a_criterion(
    written: str, criteria: list[tuple[str, object, Place]], read: Read
) -> None:
    found = read(shell(written)).steps[0].success
    assert found == tuple(Criterion(*each) for each in criteria)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (
            "{stdout_matches: '['}",
            (
                "5:29 'success.stdout_matches' in shell step 'a' is '[', "
                "no regular expression: unterminated character set, at character 1"
            ),
        ),
        (
            "{stderr_matches: [a, 'b(']}",
            (
                "5:33 'success.stderr_matches[1]' in shell step 'a' is 'b(', "
                "no regular expression: missing ), unterminated subpattern, at character 2"
            ),
        ),
        (
            "{stdout_contains: ''}",
            "5:30 'success.stdout_contains' in shell step 'a' is '', should not be empty",
        ),
        (
            "{stdout_contains: 5}",
            (
                "5:30 'success.stdout_contains' in shell step 'a' is a number, "
                "should be text (quote it: '5')"
            ),
        ),
        (
            "{max_seconds: 0}",
            "5:26 'success.max_seconds' in shell step 'a' is 0, should be more than 0",
        ),
        (
            "{max_rss_mb: 5 MB}",
            "5:25 'success.max_rss_mb' in shell step 'a' is text, should be a number",
        ),
        (
            "{max_cpu_seconds: true}",
            "5:30 'success.max_cpu_seconds' in shell step 'a' is a boolean, should be a number",
        ),
        (
            "{leftover_processes: -1}",
            "5:33 'success.leftover_processes' in shell step 'a' is -1, should be 0 or more",
        ),
        (
            "{stdout_contain: a}",
            (
                "5:13 unknown criterion 'stdout_contain' in shell step 'a' "
                "(did you mean 'stdout_contains'?)"
            ),
        ),
        ("[a]", "5:12 'success' in shell step 'a' is a list, should be a mapping"),
    ],
)
def test_what_cannot_be_asked_for_is_told_once(written: str, told: str, problems: Problems) -> None:
    assert problems(shell(written)) == [told]
