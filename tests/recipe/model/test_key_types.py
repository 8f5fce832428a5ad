"""Rules for commands, names and times besides their types."""

from collections.abc import Callable

import pytest

from pytest_orchestrator.recipe import PythonStep, Recipe

Problems = Callable[[str | bytes], list[str]]
Read = Callable[[str | bytes], Recipe]


def shell(keys: str) -> str:
    return f"steps:\n- type: shell\n  name: a\n  cmd: ls\n  {keys}\n"


@pytest.mark.parametrize(
    ("cmd", "message"),
    [
        ("''", "4:8 'cmd' in shell step 'a' is '', should not be empty"),
        ("'  '", "4:8 'cmd' in shell step 'a' is '  ', should not be empty"),
        ("[]", "4:8 'cmd' in shell step 'a' is [], should begin with a program"),
        *(
            (
                item,
                (
                    "4:8 'cmd' in shell step 'a' is a list, should be a text, because a list is "
                    "one program and its arguments "
                    "(write `cmd: echo …`, or `cmd: |` for several lines)"
                ),
            )
            for item in ("[echo a b]", '["echo a/b\\necho c"]')
        ),
        (
            "['', a]",
            (
                "4:8 'cmd' in shell step 'a' is a list, "
                "should begin with a program, not with an empty text"
            ),
        ),
        ("12", "4:8 'cmd' in shell step 'a' is a number, should be text (quote it: '12')"),
        ("", "4:7 'cmd' in shell step 'a' is empty, should be text"),
        ("{a: b}", "4:8 'cmd' in shell step 'a' is a mapping, should be text, or a list"),
        ("[ls, 5]", "4:13 'cmd[1]' in shell step 'a' is a number, should be text (quote it: '5')"),
        (
            '"a\\0b"',
            (
                "4:8 'cmd' in shell step 'a' is 'a\\x00b', "
                "which has a NUL in it, and no command can be given one"
            ),
        ),
        (
            '[ls, "\\0"]',
            (
                "4:13 'cmd[1]' in shell step 'a' is '\\x00', "
                "which has a NUL in it, and no command can be given one"
            ),
        ),
    ],
)
def test_an_invalid_command_is_reported(cmd: str, message: str, problems: Problems) -> None:
    assert problems(f"steps:\n- type: shell\n  name: a\n  cmd: {cmd}\n") == [message]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b", "'a b'"),
        ("1a", "'1a'"),
        ("-a", "'-a'"),
        ("é", "'é'"),
        ("'a\\n'", "'a\\\\n'"),
        ('"a\\n"', "'a\\n'"),
    ],
)
def test_the_name_of_a_step_is_checked(name: str, shown: str, problems: Problems) -> None:
    assert problems(f"steps:\n- name: {name}\n  type: shell\n  cmd: ls\n") == [
        (
            f"2:9 'name' in shell step {shown} is {shown}, "
            "should be letters, digits, _ and -, beginning with a letter or _"
        )
    ]


@pytest.mark.parametrize("module", ["a/b.py", "a..b", ".a", "a.1", "a b", '"a\\n"'])
def test_a_module_is_a_dotted_name(module: str, problems: Problems) -> None:
    found = problems(f"steps:\n- name: a\n  type: python\n  class: C\n  module: {module}\n")
    assert [each.partition(", ")[2] for each in found] == [
        "should be a dotted name, as `import` takes it"
    ]


@pytest.mark.parametrize("key", ["class", "function"])
def test_a_class_and_a_function_are_names(key: str, problems: Problems) -> None:
    assert problems(f"steps:\n- name: a\n  type: python\n  module: m\n  {key}: a.b\n") == [
        f"5:{5 + len(key)} '{key}' in python step 'a' is 'a.b', should be a name of Python"
    ]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("3", 3.0),
        ("0.5", 0.5),
        ("500ms", 0.5),
        ("30s", 30.0),
        ("2m", 120.0),
        ("1h", 3600.0),
        ("8784h", 366 * 86_400.0),
        ("1.5 h", 5400.0),
    ],
)
def test_a_timeout_is_seconds(written: str, seconds: float, read: Read) -> None:
    timeout = read(shell(f"timeout: {written}")).steps[0].timeout
    assert timeout == seconds
    assert type(timeout) is float


def test_names_of_modules_may_have_letters_of_any_language(read: Read) -> None:
    step = read("steps: [{name: a, type: python, module: größe.maß, function: miß}]").steps[0]
    assert isinstance(step, PythonStep)
    assert (step.module, step.function) == ("größe.maß", "miß")
