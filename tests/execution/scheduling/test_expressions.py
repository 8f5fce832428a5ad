"""Expressions of a step are evaluated before or after its step code; errors name their line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import StepResult
    from tests.execution.conftest import Bench

OBJECT = """printf '{"status": "ok", "volts": 12.5, "list": [1, {"a": false}], "none": null}'"""


def failure(result: StepResult) -> tuple[str, str]:
    assert result.failure is not None
    return result.failure.kind, result.failure.reason


@pytest.mark.parametrize(
    "value", [3, 3.5, [1, [2]], {"a": {"b": None}}, False, "false", "007", "a\nb", None, "x\r\ny"]
)
def test_a_value_passes_through_the_context_unchanged(bench: Bench, value: Any) -> None:
    bench.context.set("a.b", value)
    step = bench.shell_step("true", parse="text", outputs={"c.d": "${{ ctx.a.b }}"})

    assert bench.result(step).outcome == "passed"
    assert bench.context.get("c.d") == value
    assert type(bench.context.get("c.d")) is type(value)


def test_outputs_are_written_with_the_step_as_their_author(bench: Bench) -> None:
    step = bench.shell_step(
        OBJECT,
        outputs={"o.volts": "${{ result.volts }}", "o.text": "at ${{ result.list }} V"},
        success={"ctx_has_keys": ["o.volts"], "assert": ["ctx.o.volts == 12.5"]},
    )

    assert bench.result(step).outcome == "passed"
    assert bench.context.get("o.text") == 'at [1,{"a":false}] V'
    assert bench.context.get_history("o.volts")[0]["who"] == "s"


def test_an_output_is_searched_in_the_printed_text(bench: Bench) -> None:
    step = bench.shell_step(
        "echo serial A17; echo rev 3 >&2",
        parse="text",
        outputs={
            "o.serial": {"from": "stdout", "regex": r"^serial (\w+)$"},
            "o.rev": {"from": "stderr", "regex": r"rev \d"},
            "o.none": {"from": "stdout", "regex": "nothing", "default": None},
        },
    )

    assert bench.result(step).outcome == "passed"
    assert bench.context.to_dict() == {"o.serial": "A17", "o.rev": "rev 3", "o.none": None}


def test_an_output_without_a_match_fails_the_step_and_no_output_is_written(bench: Bench) -> None:
    step = bench.shell_step(
        "echo a",
        parse="text",
        outputs={"o.a": 1, "o.b": {"from": "stdout", "regex": "b+"}},
    )

    reason = "outputs.o.b: nothing in stdout matches 'b+'"
    assert failure(bench.result(step)) == ("criterion", reason)
    assert bench.context.keys() == []


def test_a_step_whose_if_is_false_is_skipped_and_its_dependants_may_run(bench: Bench) -> None:
    result = bench.result(bench.shell_step("touch ran", parse="text", if_="1 > 2"))

    assert (result.outcome, result.reason, result.meets) == ("skipped", "if: 1 > 2", True)
    assert not (bench.root / "ran").exists()


def test_a_failed_assertion_shows_the_values_of_its_names_and_their_authors(bench: Bench) -> None:
    bench.context.set("a.b", 4, who="probe")
    step = bench.shell_step(OBJECT, success={"assert": ["ctx.a.b > result.volts"]})
    kind, reason = failure(bench.result(step))

    assert kind == "criterion"
    assert reason.startswith("assert: `ctx.a.b > result.volts` is false: ctx.a.b = 4 (written by")
    assert reason.endswith("result.volts = 12.5")


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ({"args": {"X": "${{ ctx.nope }}"}}, "`ctx.nope`: the context has no key 'nope'"),
        ({"timeout": "${{ 'soon' }}"}, "'timeout' is 'soon', should be seconds, or a text such as"),
        ({"success": {"assert": ["result.status.x.y"]}}, "assert: `result.status.x.y`: "),
    ],
)
def test_an_expression_without_a_value_fails_the_step_at_its_position(
    bench: Bench, keys: dict[str, Any], reason: str
) -> None:
    result = bench.result(bench.shell_step("true", parse="text", **keys))

    kind, message = failure(result)
    assert kind == "validation"
    assert message.startswith(reason)
    assert result.failure is not None
    assert result.failure.place is not None


def test_an_assertion_with_an_error_does_not_hide_the_others(bench: Bench) -> None:
    success = {"assert": ["1 == 2", "1 / 0", "2 == 2"], "files_exist": ["${{ ctx.nope }}", "out"]}
    result = bench.result(bench.shell_step("true", parse="text", success=success))

    error = "`1 / 0`: ZeroDivisionError: division by zero"
    absent = "`ctx.nope`: the context has no key 'nope'; it has none at all"
    assert [(one.name, one.unmet, one.errs) for one in result.verdicts] == [
        ("assert", "`1 == 2` is false", False),
        ("assert", error, True),
        ("assert", None, False),
        ("files_exist", absent, True),
        ("files_exist", "out is not there", False),
    ]
    assert failure(result) == ("validation", f"assert: {error} (and 3 more)")
    assert result.failure is not None
    assert result.failure.place == result.verdicts[1].place


@pytest.mark.parametrize(
    "value", ["$(touch hacked)", "`touch hacked`", "; touch hacked", "'\"'", "a b", "é\n😀", "*"]
)
@pytest.mark.parametrize(
    "cmd",
    [
        "printf %s ${{ vars.x }}",
        "printf %s ${{ vars.x }} > out; cat out",
        'printf %s "${{ vars.x }}" | cat',
        "cat <<END | head -c -1\n${{ vars.x }}\nEND",
    ],
)
def test_a_value_is_never_executed_as_shell_code(bench: Bench, cmd: str, value: str) -> None:
    bench.context.set("x", value)
    result = bench.result(bench.shell_step(cmd.replace("vars.x", "ctx.x"), parse="text"))

    assert result.ended is not None
    assert result.ended.process is not None
    assert result.ended.process.stdout.text == value
    assert not (bench.root / "hacked").exists()


def test_an_attempt_fails_as_long_as_until_is_false(bench: Bench) -> None:
    step = bench.shell_step(
        """echo x >> n; printf '{"status": "ok", "n": %s}' $(wc -l < n)""",
        retry={"attempts": 6, "until": "result.n >= 3"},
        outputs={"o.n": "${{ result.n }}"},
    )
    loop = bench.retry_loop(step)
    assert loop.prepare() is None
    while loop.result is None:
        loop.run()

    assert (loop.result.outcome, loop.result.attempt) == ("passed", 3)
    assert "until: `result.n >= 3` is false: result.n = 1" in loop.result.attempts[0].failure.reason


def test_a_step_is_not_retried_if_abort_if_is_true(bench: Bench) -> None:
    step = bench.shell_step(
        "exit 7",
        parse="text",
        retry={"attempts": 6, "abort_if": "exit_code == 7 and kind == 'exit_code'"},
    )
    loop = bench.retry_loop(step)
    assert loop.prepare() is None

    result = loop.run()
    assert result is not None
    assert (result.outcome, result.attempt) == ("failed", 1)


LONG = "printf 'first\\r\\n\\377\\033[1m'; seq 20000; echo middle 42; seq 20000; echo last"


def test_expressions_see_the_whole_output_unchanged(bench: Bench) -> None:
    asserts = [
        "'middle 42' in stdout",
        "stdout.startswith('first\\r\\n\ufffd\\x1b[1m1\\n2\\n')",
        "stdout.endswith('last\\n')",
        "stdout | length > 200000",
        "stderr == ''",
    ]
    step = bench.shell_step(LONG, parse="text", success={"assert": asserts})
    assert bench.result(step).failure is None


@pytest.mark.parametrize("logs", [True, False])
def test_outputs_are_searched_in_the_whole_output(bench: Bench, logs: bool) -> None:
    if not logs:
        bench.configure(logs=None)
    outputs = {
        "a": {"from": "stdout", "regex": r"^middle (\d+)$", "default": None},
        "b": {"from": "stdout", "regex": "^.\x1b", "default": None},
        "c": {"from": "stdout", "regex": "^last$"},
        "d": {"from": "stderr", "regex": "^last$", "default": "none"},
    }
    result = bench.result(bench.shell_step(LONG, parse="text", outputs=outputs))
    assert result.failure is None
    assert bench.context.to_dict() == {
        "a": "42" if logs else None,
        "b": "\ufffd\x1b",
        "c": "last",
        "d": "none",
    }


def test_an_expression_cannot_read_output_that_was_not_kept(bench: Bench) -> None:
    bench.configure(logs=None)
    step = bench.shell_step(LONG, parse="text", success={"assert": ["'middle' in stdout"]})
    failure = bench.result(step).failure
    assert failure is not None
    assert failure.kind == "validation"
    assert failure.reason == (
        "assert: `'middle' in stdout`: stdout is not all in its log, so no expression can read it; "
        "stdout_contains and stdout_matches see all that was kept"
    )


def test_an_expression_cannot_read_output_above_the_limit(bench: Bench) -> None:
    bench.configure(max_result=1 << 20)
    cmd = "head -c 1048577 /dev/zero; echo end"
    search = {"end": {"from": "stdout", "regex": "end$"}}
    keys = {"parse": "text", "outputs": search, "success": {"assert": ["exit_code == 0"]}}
    assert bench.result(bench.shell_step(cmd, **keys)).failure is None
    assert bench.context["end"] == "end"

    step = bench.shell_step(cmd, parse="text", success={"assert": ["stdout == ''"]})
    failure = bench.result(step).failure
    assert failure is not None
    assert failure.reason.startswith(
        "assert: `stdout == ''`: stdout is above 1 MiB, so no expression"
    )


def test_expressions_and_outputs_read_secrets_unmasked(bench: Bench) -> None:
    bench.attempt.config.secrets.add("sesame-open")
    cmd = "seq 20000; echo key sesame-open.; seq 20000"
    keys = {
        "outputs": {"key": {"from": "stdout", "regex": r"^key (\S+)\.$"}},
        "success": {"assert": ["'key sesame-open.' in stdout"]},
        "retry": {"attempts": 2, "until": "'sesame-open' in stdout"},
    }
    result = bench.result(bench.shell_step(cmd, parse="text", **keys))
    assert result.failure is None
    assert bench.context["key"] == "sesame-open"
    assert b"sesame" not in (bench.root / "logs/s.1.stdout").read_bytes()


def wanted(bench: Bench, success: dict[str, Any], cmd: str = "echo ERROR; touch x") -> list[Any]:
    """Return each criterion of a step: its name, its value, its reason if unmet, and errs."""
    bench.context.set("bad", ["ERROR", "FATAL"])
    result = bench.result(bench.shell_step(cmd, parse="text", success=success))
    return [(one.name, one.expected, one.unmet, one.errs) for one in result.verdicts]


@pytest.mark.parametrize("name", ["stdout_not_contains", "stderr_not_contains"])
def test_each_item_of_a_list_from_an_expression_is_a_criterion(bench: Bench, name: str) -> None:
    stream = name.partition("_")[0]
    found = wanted(bench, {name: "${{ ctx.bad }}"}, "echo ERROR; echo ERROR >&2")

    reason = f"'ERROR' is in line 1 of {stream}"
    assert found == [(name, "ERROR", reason, False), (name, "FATAL", None, False)]


@pytest.mark.parametrize(
    ("success", "reasons"),
    [
        ({"files_absent": "${{ ['x', 'y'] }}"}, ["x is there", None]),
        ({"files_exist": "${{ ['x', 'y'] }}"}, [None, "y is not there"]),
        (
            {"ctx_lacks_keys": "${{ ['bad', 'good'] }}"},
            ["the context has the key 'bad', written by user", None],
        ),
        ({"stdout_contains": "${{ ['ERROR', 'RR'] }}"}, [None, None]),
        (
            {"stdout_matches": "${{ ['^E', '^R'] }}"},
            [None, "no match of '^R' in stdout, which ends with 'ERROR'"],
        ),
        (
            {"files": [{"path": "x", "not_contains": "${{ ctx.bad }}"}]},
            [None, None],
        ),
        ({"leftover_processes": "${{ 0 }}"}, [None]),
    ],
)
def test_a_list_from_an_expression_is_checked_item_by_item(
    bench: Bench, success: dict[str, Any], reasons: list[str | None]
) -> None:
    assert [unmet for _, _, unmet, _ in wanted(bench, success)] == reasons


IN_PLACE = " (write the expression in the place of the list)"


@pytest.mark.parametrize(
    ("success", "reason"),
    [
        (
            {"files_absent": ["a", "${{ ['x'] }}"]},
            f"'files_absent[1]' is a list, should be text{IN_PLACE}",
        ),
        ({"files_absent": "${{ 'x' }}"}, "'files_absent' is 'x', should be a list"),
        ({"files_absent": "${{ [['x']] }}"}, "'files_absent[0]' is a list, should be text"),
        ({"files_absent": "${{ [] }}"}, "'files_absent' is [], should have a path in it"),
        ({"ctx_lacks_keys": "${{ [] }}"}, "'ctx_lacks_keys' is [], should have a key in it"),
        (
            {"ctx_lacks_keys": ["${{ 'a..b' }}"]},
            ("'ctx_lacks_keys[0]' is 'a..b', should be a key of the Context such as dut.serial_v1"),
        ),
        (
            {"stdout_not_contains": "${{ [] }}"},
            "'stdout_not_contains' is [], should have a text in it",
        ),
        (
            {"stderr_matches": "${{ [] }}"},
            "'stderr_matches' is [], should have a regular expression in it",
        ),
        (
            {"stdout_not_contains": "${{ {'a': 1} }}"},
            "'stdout_not_contains' is a mapping, should be text, or a list",
        ),
        ({"max_seconds": "${{ true }}"}, "'max_seconds' is true, should be a number"),
        ({"leftover_processes": "${{ [0] }}"}, "'leftover_processes' is a list, {whole}"),
        (
            {"files": [{"path": "x", "not_contains": "${{ none }}"}]},
            "'files.not_contains' is null, should be text, or a list",
        ),
        (
            {"files": [{"path": "x", "not_contains": "${{ {'a': 1} }}"}]},
            "'files.not_contains' is a mapping, should be text, or a list",
        ),
        (
            {"files": [{"path": "x", "not_contains": ["${{ ['x'] }}"]}]},
            f"'files.not_contains[0]' is a list, should be text{IN_PLACE}",
        ),
        (
            {"files": [{"path": "x", "contains": "${{ [] }}"}]},
            "'files.contains' is [], should have a text in it",
        ),
        (
            {"files": [{"path": "x", "matches": ["x", "${{ '(' }}"]}]},
            (
                "'files.matches[1]' is '(', no regular expression: "
                "missing ), unterminated subpattern, at character 1"
            ),
        ),
        (
            {"files": [{"path": "x", "sha256": "${{ 'abc' }}"}]},
            "'files.sha256' is 'abc', should be 64 digits of hexadecimal",
        ),
        (
            {"files": [{"path": "x", "min_bytes": "${{ true }}"}]},
            "'files.min_bytes' is true, {whole}",
        ),
        (
            {"files": [{"path": "x", "max_bytes": "${{ 1.5 }}"}]},
            "'files.max_bytes' is 1.5, {whole}",
        ),
        ({"files": [{"path": "${{ ['x'] }}"}]}, "'files.path' is a list, should be text"),
        (
            {"files": [{"path": "x", "min_bytes": "${{ 5 }}", "max_bytes": 2}]},
            "'files.min_bytes' is 5, above 'max_bytes', which is 2",
        ),
        ({"stdout_contains": "${{ 5 }}"}, "'stdout_contains' is 5, should be text, or a list"),
        ({"ctx_has_keys": "${{ {'a': 1} }}"}, "'ctx_has_keys' is a mapping, should be a list"),
        (
            {"files": [{"path": "x", "fresh": "${{ 'yes' }}"}]},
            "'files.fresh' is 'yes', should be true or false",
        ),
    ],
)
def test_a_value_of_a_wrong_type_is_reported_at_its_expression(
    bench: Bench, success: dict[str, Any], reason: str
) -> None:
    step = bench.shell_step("touch x", parse="text", success=success)
    result = bench.result(step)

    (name,) = success
    reason = reason.format(whole="should be a whole number")
    assert failure(result) == ("validation", f"{name}: {reason}")
    assert result.failure is not None
    assert result.failure.place == step.templates[0].place


@pytest.mark.parametrize("code", ["${{ ctx.code }}", [1, "${{ 3 }}"], "${{ [3, 4] }}"])
def test_the_expected_exit_code_may_be_an_expression(bench: Bench, code: Any) -> None:
    bench.context.set("code", 3)
    step = bench.shell_step("exit 3", parse="text", success={"exit_code": code})

    assert bench.result(step).outcome == "passed"


def test_no_step_code_runs_if_the_expected_exit_code_is_invalid(bench: Bench) -> None:
    success = {"exit_code": "${{ 'three' }}"}
    step = bench.shell_step("touch ran", parse="text", success=success)

    reason = "'exit_code' is 'three', should be a whole number or 'nonzero', or a list"
    assert failure(bench.result(step)) == ("validation", reason)
    assert not (bench.root / "ran").exists()
