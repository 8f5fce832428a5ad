"""Each key is read by the type of its field; a wrong value is reported with its cure."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import Recipe, ShellStep

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]

STEPS = "\nsteps: [{name: a, type: shell, cmd: ls}]\n"


def shell(keys: str) -> str:
    return f"steps:\n- type: shell\n  name: a\n  cmd: ls\n  {keys}\n"


def python(keys: str) -> str:
    return f"steps:\n- type: python\n  name: a\n  module: m\n  class: C\n  {keys}\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("name: 12", "1:7 'name' is a number, should be text (quote it: '12')"),
        ("name: 010", "1:7 'name' is a number, should be text (quote it: '010')"),
        ("name: true", "1:7 'name' is a boolean, should be text (quote it: 'true')"),
        ("name: ~", "1:7 'name' is null, should be text (quote it: '~')"),
        ("name:", "1:6 'name' is empty, should be text"),
        ("name: [a]", "1:7 'name' is a list, should be text"),
        ("description: {a: b}", "1:14 'description' is a mapping, should be text"),
        ("version: '1'", "1:10 'version' is text, should be a whole number"),
        ("version: 1.0", "1:10 'version' is a number, should be a whole number"),
        ("version: true", "1:10 'version' is a boolean, should be a whole number"),
        (
            "version: 2",
            "1:10 'version' is 2, should be 1, the one format that this version knows",
        ),
        (
            "test_meta: x",
            "1:12 'test_meta' is text, should be a mapping (write test_meta: {tester: your name})",
        ),
        (
            "test_meta: [x]",
            (
                "1:12 'test_meta' is a list, should be a mapping "
                "(write test_meta: {tester: your name})"
            ),
        ),
        (
            "test_meta:",
            "1:11 'test_meta' is empty, should be a mapping (write test_meta: {tester: your name})",
        ),
        ("tags: nightly", "1:7 'tags' is text, should be a list (write [nightly])"),
        ("tags: {a: b}", "1:7 'tags' is a mapping, should be a list"),
        ("tags: [a, 1]", "1:11 'tags[1]' is a number, should be text (quote it: '1')"),
        (
            "tags: [a-b]",
            "1:8 'tags[0]' is 'a-b', should be letters, digits and _, beginning with a letter",
        ),
        ("tags: [xfail]", "1:8 'tags[0]' is 'xfail', a mark that has its own meaning"),
        ("tags: [recipe]", "1:8 'tags[0]' is 'recipe', a mark that has its own meaning"),
        (
            "fixtures: [a.b]",
            "1:12 'fixtures[0]' is 'a.b', should be the name of a fixture",
        ),
        (
            "fixtures: [bench, ctx]",
            "1:19 'fixtures[1]' is 'ctx', which every step is given without asking",
        ),
    ],
)
def test_wrong_values_of_recipe_keys_are_reported(
    line: str, message: str, problems: Problems
) -> None:
    assert problems(line + STEPS) == [message]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("idx: '1'", "5:8 'idx' in shell step 'a' is text, should be a whole number"),
        ("idx: no", "5:8 'idx' in shell step 'a' is text, should be a whole number"),
        ("idx: -1", "5:8 'idx' in shell step 'a' is -1, should be 0 or more"),
        (
            "implicit: no",
            "5:13 'implicit' in shell step 'a' is text, should be true or false (write false)",
        ),
        (
            "implicit: On",
            "5:13 'implicit' in shell step 'a' is text, should be true or false (write true)",
        ),
        ("implicit: 0", "5:13 'implicit' in shell step 'a' is a number, should be true or false"),
        (
            "xfail: true",
            "5:10 'xfail' in shell step 'a' is a boolean, should be text (quote it: 'true')",
        ),
        ("xfail: ' '", "5:10 'xfail' in shell step 'a' is ' ', should not be empty"),
        ("timeout: 0", "5:12 'timeout' in shell step 'a' is 0, should be more than 0 seconds"),
        (
            "timeout: -3.5",
            "5:12 'timeout' in shell step 'a' is -3.5, should be more than 0 seconds",
        ),
        (
            "timeout: 0ms",
            "5:12 'timeout' in shell step 'a' is '0ms', should be more than 0 seconds",
        ),
        (
            "timeout: 9e9",
            "5:12 'timeout' in shell step 'a' is 9000000000.0, should be at most a year",
        ),
        (
            f"timeout: {'9' * 400}h",
            (
                f"5:12 'timeout' in shell step 'a' is '{'9' * 29}...{'9' * 28}h', "
                "should be at most a year"
            ),
        ),
        (
            "timeout: true",
            "5:12 'timeout' in shell step 'a' is a boolean, should be a number or text",
        ),
        ("timeout: [1]", "5:12 'timeout' in shell step 'a' is a list, should be a number or text"),
        (
            "timeout: 5 days",
            (
                "5:12 'timeout' in shell step 'a' is '5 days', "
                "should be seconds, or a text such as 500ms, 30s, 2m or 1h"
            ),
        ),
        (
            "timeout: '30'",
            (
                "5:12 'timeout' in shell step 'a' is '30', "
                "should be seconds, or a text such as 500ms, 30s, 2m or 1h"
            ),
        ),
        ("needs: b", "5:10 'needs' in shell step 'a' is text, should be a list (write [b])"),
        ("needs: |\n   b\n   c", "5:10 'needs' in shell step 'a' is text, should be a list"),
        ("needs:", "5:9 'needs' in shell step 'a' is empty, should be a list"),
        (
            "parse: jsn",
            (
                "5:10 'parse' in shell step 'a' is 'jsn', should be 'json', 'last-line', 'data' or "
                "'text' (did you mean 'json'?)"
            ),
        ),
        (
            "parse: 1",
            (
                "5:10 'parse' in shell step 'a' is a number, "
                "should be 'json', 'last-line', 'data' or 'text'"
            ),
        ),
        ("cwd: ''", "5:8 'cwd' in shell step 'a' is '', should not be empty"),
        (
            'cwd: "a\\0"',
            (
                "5:8 'cwd' in shell step 'a' is 'a\\x00', "
                "which has a NUL in it, and no command can be given one"
            ),
        ),
        (
            "args: [a]",
            (
                "5:9 'args' in shell step 'a' is a list, should be a mapping "
                "(write args: {MESSAGE: Hi})"
            ),
        ),
        (
            "args: {A: 1, A-B: 2, '': 3, 1B: 4}",
            (
                "5:16 'args' in shell step 'a' has the key 'A-B', "
                "should be the name of an environment variable: letters, digits and _"
            ),
        ),
        (
            'args: {A: [1, {b: "x\\0"}]}',
            (
                "5:13 'args.A' in shell step 'a' is a list, "
                "which has a NUL in it, and no environment variable can hold one"
            ),
        ),
        (
            'args: {A: {"\\0": 1}}',
            (
                "5:13 'args.A' in shell step 'a' is a mapping, "
                "which has a NUL in it, and no environment variable can hold one"
            ),
        ),
        (
            "success: [a]",
            (
                "5:12 'success' in shell step 'a' is a list, should be a mapping "
                "(write success: {stdout_contains: PASS})"
            ),
        ),
        (
            "success: {ctx_has_keys: a}",
            "5:27 'success.ctx_has_keys' in shell step 'a' is text, should be a list (write [a])",
        ),
        (
            "success: {ctx_has_keys: [a..b]}",
            (
                "5:28 'success.ctx_has_keys[0]' in shell step 'a' is 'a..b', "
                "should be a key of the Context such as dut.serial_v1"
            ),
        ),
        (
            "success: {files_exist: ['']}",
            "5:27 'success.files_exist[0]' in shell step 'a' is '', should not be empty",
        ),
        (
            "success: {exit_code: true}",
            (
                "5:24 'success.exit_code' in shell step 'a' is a boolean, "
                "should be a whole number or 'nonzero'"
            ),
        ),
        (
            "success: {exit_code: nonzer}",
            (
                "5:24 'success.exit_code' in shell step 'a' is 'nonzer', "
                "should be a whole number or 'nonzero' (did you mean 'nonzero'?)"
            ),
        ),
        (
            "success: {exit_code: 256}",
            "5:24 'success.exit_code' in shell step 'a' is 256, should be 0 to 255",
        ),
        (
            "success: {exit_code: [0, -1]}",
            "5:28 'success.exit_code[1]' in shell step 'a' is -1, should be 0 to 255",
        ),
        (
            "success: {exit_code: [none]}",
            (
                "5:25 'success.exit_code[0]' in shell step 'a' is 'none', "
                "should be a whole number or 'nonzero' (did you mean 'nonzero'?)"
            ),
        ),
        (
            "success: {exit_code: []}",
            "5:24 'success.exit_code' in shell step 'a' is [], should have an exit code in it",
        ),
        (
            "success: {exit_code: {a: b}}",
            (
                "5:24 'success.exit_code' in shell step 'a' is a mapping, "
                "should be a whole number or 'nonzero', or a list"
            ),
        ),
    ],
)
def test_wrong_values_of_shell_step_keys_are_reported(
    line: str, message: str, problems: Problems
) -> None:
    assert problems(shell(line))[0] == message


def test_params_are_a_mapping(problems: Problems) -> None:
    assert problems(python("params: [a]")) == [
        (
            "6:11 'params' in python step 'a' is a list, should be a mapping "
            "(write params: {message: Hi})"
        )
    ]


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        ("3", 3),
        ("[1, 2]", [1, 2]),
        ("nonzero", "nonzero"),
        ("[0, nonzero]", [0, "nonzero"]),
        ("0x1F", 31),
    ],
)
def test_an_exit_code_is_one_criterion(written: str, wanted: object, read: Read) -> None:
    criteria = read(shell(f"success: {{exit_code: {written}}}")).steps[0].success
    assert [(each.name, each.expected) for each in criteria] == [("exit_code", wanted)]


@pytest.mark.parametrize("stdin", ["null", "text", "12", "[1, {a: b}]", "{a: [1]}", '"a\\0b"'])
def test_stdin_is_any_json(stdin: str, read: Read) -> None:
    step = read(shell(f"stdin: {stdin}")).steps[0]
    assert isinstance(step, ShellStep)
    assert (
        step.stdin
        == {
            "null": None,
            "text": "text",
            "12": 12,
            "[1, {a: b}]": [1, {"a": "b"}],
            "{a: [1]}": {"a": [1]},
            '"a\\0b"': "a\0b",
        }[stdin]
    )


def test_a_command_may_be_a_list(read: Read) -> None:
    step = read("steps: [{name: a, type: shell, cmd: [printf, '', '%s\\n']}]").steps[0]
    assert isinstance(step, ShellStep)
    assert step.cmd == ("printf", "", "%s\\n")


def test_problems_of_all_items_and_all_keys_are_reported(problems: Problems) -> None:
    keys = 'tags: [1, skip, [a]]\n  args: {A-B: 1, C: "\\0", D-: 2}'
    assert [problem.partition(" ")[0] for problem in problems(shell(keys))] == [
        *("5:10", "5:13", "5:19"),
        *("6:10", "6:21", "6:27"),
    ]


def test_long_texts_are_cut_in_messages(problems: Problems) -> None:
    assert problems(f"tags: [{'a-' * 500}]" + STEPS) == [
        (
            f"1:8 'tags[0]' is '{'a-' * 14}a...{'-a' * 14}-', "
            "should be letters, digits and _, beginning with a letter"
        )
    ]
