"""Argument list, environment and repeatable line of a command."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.execution.steps.command import alone, argv_of, environment_of, stdin_of

ROOT = Path("/project")


@pytest.mark.parametrize(
    ("cmd", "argv"),
    [
        ("ls -l", ("ls", "-l")),
        ("scripts/run.sh 3", ("/project/scripts/run.sh", "3")),
        (("scripts/../run.sh", "a b"), ("/project/run.sh", "a b")),
        ("/usr/bin/env x", ("/usr/bin/env", "x")),
        ("a | b", ("/bin/sh", "-e", "-c", "a | b")),
        ("echo $HOME", ("/bin/sh", "-e", "-c", "echo $HOME")),
        ("A=1 run", ("/bin/sh", "-e", "-c", "A=1 run")),
        ("exit 3", ("/bin/sh", "-e", "-c", "exit 3")),
        ("one\ntwo", ("/bin/sh", "-e", "-c", "one\ntwo")),
    ],
)
def test_only_a_line_with_shell_syntax_needs_a_shell(cmd: str, argv: tuple[str, ...]) -> None:
    assert argv_of(cmd, ROOT) == argv


@pytest.mark.parametrize(
    ("shell", "argv"),
    [
        ("sh", ("/bin/sh", "-e", "-c", "x y")),
        ("bash", ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "x y")),
        ("python", (sys.executable, "-c", "x y")),
        (("node", "-r", "./x"), ("node", "-r", "./x", "{script}")),
        (("tools/../run",), ("/project/run", "{script}")),
    ],
)
def test_a_named_shell_runs_every_line(shell: str | tuple[str, ...], argv: tuple[str, ...]) -> None:
    assert argv_of("x y", ROOT, shell) == argv


def test_args_become_text_or_json_and_null_removes_the_variable() -> None:
    env = environment_of(
        {"T": "a b", "N": 1, "B": True, "F": 2.5, "L": [1, {"a": "ü"}], "GONE": None},
        {"GONE": "x", "KEPT": "y"},
    )
    assert env == {
        "KEPT": "y", "T": "a b", "N": "1", "B": "true", "F": "2.5", "L": '[1,{"a":"ü"}]',
    }  # fmt: skip


def test_stdin_is_unchanged_text_or_json() -> None:
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
        ({"cmd": "exit 3"}, "/bin/sh -e -c 'exit 3'"),
        ({"cmd": "echo $A | cat", "args": {"A": 1}}, "env A=1 /bin/sh -e -c 'echo $A | cat'"),
        ({"cmd": ("a", "b c")}, "a 'b c'"),
        ({"cmd": "scripts/run.sh 3", "cwd": "a b"}, "(cd 'a b' && ../scripts/run.sh 3)"),
        ({"cmd": "scripts/run.sh 3", "cwd": "scripts"}, "(cd scripts && ./run.sh 3)"),
        (
            {"cmd": "run x", "cwd": "sub", "args": {"A": 1}, "shell": "bash"},
            "(cd sub && env A=1 bash --noprofile --norc -eo pipefail -c 'run x')",
        ),
        (
            {
                "cmd": "it's",
                "cwd": "sub",
                "args": {"A": 1},
                "stdin": "y",
                "shell": ("bin/x", "a b"),
            },
            (
                """(cd sub && printf %s y | (f=$(mktemp) && trap 'rm -f "$f"' EXIT && """
                """printf %s 'it'"'"'s' >"$f" && env A=1 ../bin/x 'a b' "$f"))"""
            ),
        ),
        ({"cmd": "cat -n", "cwd": "sub", "stdin": [1]}, "(cd sub && printf %s '[1]' | cat -n)"),
    ],
)
def test_a_step_has_a_line_that_repeats_it_in_a_shell(keys: dict[str, Any], line: str) -> None:
    assert alone(**{"args": {}} | keys) == line


def test_the_repeating_line_passes_the_script_unchanged_variables() -> None:
    line = alone('printf "%s" "$A"', {"A": "x'; echo $HOME `y`\n"})
    assert subprocess.check_output(line, shell=True, text=True) == "x'; echo $HOME `y`\n"
    assert shlex.split(line)[0] == "env"
