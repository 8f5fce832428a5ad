"""Success criteria of a step, and their places."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.core.location import Place
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
def test_each_condition_is_a_criterion(
    written: str, criteria: list[tuple[str, object, Place]], read: Read
) -> None:
    found = read(shell(written)).steps[0].success
    assert found == tuple(Criterion(*each) for each in criteria)  # type: ignore[arg-type]


def test_an_entry_of_files_is_a_criterion_with_the_places_of_its_rules(read: Read) -> None:
    (found,) = (
        read(shell("{files: [{path: a, contains: [b, c], fresh: true, min_bytes: 1}]}"))
        .steps[0]
        .success
    )
    assert found == Criterion(
        "files",
        {"path": "a", "contains": ["b", "c"], "fresh": True, "min_bytes": 1},
        Place(5, 28, 1),
        {
            "path": Place(5, 28, 1),
            "contains": Place(5, 41, 6),
            "contains/0": Place(5, 42, 1),
            "contains/1": Place(5, 45, 1),
            "fresh": Place(5, 56, 4),
            "min_bytes": Place(5, 73, 1),
        },
    )


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{path: a}", "5:20 'success.files' in shell step 'a' is a mapping, should be a list"),
        ("[a]", "5:21 'success.files[0]' in shell step 'a' is text, should be a mapping"),
        ("[{}]", "5:21 'files[0]' is missing 'path' in shell step 'a'"),
        (
            "[{path: a, contain: b}]",
            "5:31 unknown key 'contain' in 'files[0]' in shell step 'a' (did you mean 'contains'?)",
        ),
        (
            "[{path: ''}]",
            "5:28 'success.files[0].path' in shell step 'a' is '', should not be empty",
        ),
        (
            "[{path: a, matches: [b, '*']}]",
            (
                "5:44 'success.files[0].matches[1]' in shell step 'a' is '*', "
                "no regular expression: nothing to repeat, at character 1"
            ),
        ),
        (
            "[{path: a, sha256: abc}]",
            (
                "5:39 'success.files[0].sha256' in shell step 'a' is 'abc', "
                "should be 64 digits of hexadecimal"
            ),
        ),
        (
            "[{path: a, min_bytes: -1}]",
            "5:42 'success.files[0].min_bytes' in shell step 'a' is -1, should be 0 or more",
        ),
        (
            "[{path: '${{ nonsense }}'}]",
            (
                "5:28 unknown name 'nonsense' in shell step 'a' (there is attempt, ctx, env, "
                "exit_code, fixtures, matrix, recipe, result, run, stderr, stdout, steps, vars)"
            ),
        ),
        (
            "[{path: a, max_bytes: 1, min_bytes: 2}]",
            "5:56 'success.files[0].min_bytes' in shell step 'a' is above 'max_bytes'",
        ),
        (
            "[{path: a, fresh: yes}]",
            (
                "5:38 'success.files[0].fresh' in shell step 'a' is text, "
                "should be true or false (write true)"
            ),
        ),
    ],
)
def test_invalid_entries_of_files_are_reported(
    written: str, message: str, problems: Problems
) -> None:
    assert problems(shell(f"{{files: {written}}}")) == [message]


@pytest.mark.parametrize(
    ("written", "message"),
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
        (
            "[a]",
            (
                "5:12 'success' in shell step 'a' is a list, should be a mapping "
                "(write success: {stdout_contains: PASS})"
            ),
        ),
    ],
)
def test_an_invalid_criterion_is_reported_once(
    written: str, message: str, problems: Problems
) -> None:
    assert problems(shell(written)) == [message]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("{files_absent: []}", "'success.files_absent' in shell step 'a' is [], {} a path in it"),
        ("{ctx_has_keys: []}", "'success.ctx_has_keys' in shell step 'a' is [], {} a key in it"),
        (
            "{assert: '${{ vars.x }}'}",
            (
                "'success.assert' in shell step 'a' is text, should be a list "
                "(write [${{{{ vars.x }}}}])"
            ),
        ),
        ("{assert: []}", "'success.assert' in shell step 'a' is [], {} an expression in it"),
        (
            "{stdout_contains: []}",
            "'success.stdout_contains' in shell step 'a' is [], {} a text in it",
        ),
        (
            "{stdout_matches: []}",
            "'success.stdout_matches' in shell step 'a' is [], {} a regular expression in it",
        ),
        (
            "{}",
            "'success' in shell step 'a' is {{}}, {} a criterion in it (leave it out)",
        ),
        ("{files: []}", "'success.files' in shell step 'a' is [], {} an entry in it"),
        (
            "{result_schema: {}}",
            "'success.result_schema' in shell step 'a' is {{}}, {} a keyword in it",
        ),
    ],
)
def test_a_criterion_over_an_empty_list_is_refused(
    written: str, message: str, problems: Problems
) -> None:
    (found,) = problems(shell(written))
    assert found.partition(" ")[2] == message.format("should have")


def test_only_exit_code_is_evaluated_before_the_step_code(problems: Problems) -> None:
    (found,) = problems(shell("{exit_code: '${{ result.code }}'}"))
    message = "'result' in shell step 'a' is known only after the step code has run"
    assert found == f"5:24 {message}"
