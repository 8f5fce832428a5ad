"""A command becomes an argument list and an environment."""

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.execution.command import alone, argv_of, environment_of, stdin_of

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("cmd", "argv"),
    [
        ("ls -l", ("ls", "-l")),
        ("scripts/run.sh 3", ("/project/scripts/run.sh", "3")),
        (("scripts/../run.sh", "a b"), ("/project/run.sh", "a b")),
        ("/usr/bin/env x", ("/usr/bin/env", "x")),
        ("a | b", ("/bin/sh", "-c", "a | b")),
        ("echo $HOME", ("/bin/sh", "-c", "echo $HOME")),
        ("A=1 run", ("/bin/sh", "-c", "A=1 run")),
        ("exit 3", ("/bin/sh", "-c", "exit 3")),
        ("one\ntwo", ("/bin/sh", "-c", "one\ntwo")),
    ],
)
def test_only_shell_syntax_asks_for_a_shell(cmd: str, argv: tuple[str, ...]) -> None:
    assert argv_of(cmd, ROOT) == argv


def test_args_are_text_json_or_taken_away() -> None:
    env = environment_of(
        {"T": "a b", "N": 1, "B": True, "F": 2.5, "L": [1, {"a": "ü"}], "GONE": None},
        {"GONE": "x", "KEPT": "y"},
    )
    assert env == {
        "KEPT": "y", "T": "a b", "N": "1", "B": "true", "F": "2.5", "L": '[1,{"a":"ü"}]',
    }  # fmt: skip


def test_stdin_is_text_as_it_is_and_json_else() -> None:
    assert stdin_of("a\n") == b"a\n"
    assert stdin_of({"a": [1]}) == b'{"a":[1]}'
    assert stdin_of(None) is None


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"cmd": "scripts/run.sh 3"}, "scripts/run.sh 3"),
        (
            {"cmd": "scripts/run.sh", "args": {"A": "b c", "X": None}},
            "env -u X 'A=b c' scripts/run.sh",
        ),
        ({"cmd": "exit 3"}, "/bin/sh -c 'exit 3'"),
        ({"cmd": "echo $A | cat", "args": {"A": 1}}, "env A=1 /bin/sh -c 'echo $A | cat'"),
        ({"cmd": ("a", "b c")}, "a 'b c'"),
        ({"cmd": "scripts/run.sh 3", "cwd": "a b"}, "(cd 'a b' && ../scripts/run.sh 3)"),
        ({"cmd": "scripts/run.sh 3", "cwd": "scripts"}, "(cd scripts && ./run.sh 3)"),
        ({"cmd": "cat -n", "cwd": "sub", "stdin": [1]}, "(cd sub && printf %s '[1]' | cat -n)"),
    ],
)
def test_a_step_has_a_line_that_does_the_same_by_hand(keys: dict[str, Any], line: str) -> None:
    assert alone(**{"args": {}} | keys) == line


def test_the_line_by_hand_gives_the_script_the_same_words() -> None:
    line = alone('printf "%s" "$A"', {"A": "x'; echo $HOME `y`\n"})
    assert subprocess.check_output(line, shell=True, text=True) == "x'; echo $HOME `y`\n"
    assert shlex.split(line)[0] == "env"
