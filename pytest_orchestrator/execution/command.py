"""From a recipe's ``cmd`` to the argument list and environment of a process.

A command line without shell syntax is executed directly, as make does; the program of a
directly executed command stands relative to the rootdir, wherever the command then runs.
"""

import json
import os
import shlex
from collections.abc import Mapping
from pathlib import Path

from pytest_orchestrator.core.values import Json
from pytest_orchestrator.recipe.command_line import needs_shell

SHELL = "/bin/sh"
_HERE = Path()


def argv_of(cmd: str | tuple[str, ...], root: Path) -> tuple[str, ...]:
    """Return the argument list that a command stands for.

    Args:
        cmd: A command line, or a list that is taken as it is.
        root: The folder that a program given by a relative path is looked for in.
    """
    if isinstance(cmd, str):
        words = cmd.split()
        if needs_shell(cmd):
            return (SHELL, "-c", cmd)
        cmd = tuple(words)
    program = cmd[0]
    if "/" in program:
        program = os.path.normpath(os.path.join(root, program))
    return (program, *cmd[1:])


def environment_of(args: Mapping[str, Json], base: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a step: the base, with the step's ``args`` over it.

    Text goes as it is, numbers and booleans as JSON, lists and mappings as compact JSON;
    null takes the variable away.
    """
    env = dict(base)
    for name, value in args.items():
        if value is None:
            env.pop(name, None)
        else:
            env[name] = value if isinstance(value, str) else compact(value)
    return env


def stdin_of(value: Json) -> bytes | None:
    """Return the bytes for a step's standard input; None where it has none."""
    if value is None:
        return None
    return (value if isinstance(value, str) else compact(value)).encode()


def compact(value: Json) -> str:
    """Return a value as JSON text without spaces."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def alone(
    cmd: str | tuple[str, ...],
    args: Mapping[str, Json],
    cwd: str | None = None,
    stdin: Json = None,
) -> str:
    """Return a line that does the same when pasted into any shell at the rootdir.

    It neither ends that shell nor moves it elsewhere.
    """
    words = argv_of(cmd, _HERE)
    program = (cmd.split() if isinstance(cmd, str) else cmd)[0]
    if words[0] == os.path.normpath(program) and "/" in program and not os.path.isabs(program):
        # What relpath does costs more than all of this, in each step.
        path = words[0] if cwd is None else os.path.relpath(program, cwd)
        words = (path if "/" in path else f"./{path}", *words[1:])
    line = shlex.join(words)
    unset = [f"-u {name}" for name, value in args.items() if value is None]
    given = [
        shlex.quote(f"{name}={value if isinstance(value, str) else compact(value)}")
        for name, value in args.items()
        if value is not None
    ]
    if unset or given:
        line = " ".join(["env", *unset, *given, line])
    if stdin is not None:
        line = (
            f"printf %s {shlex.quote(stdin if isinstance(stdin, str) else compact(stdin))} | {line}"
        )
    return f"(cd {shlex.quote(cwd)} && {line})" if cwd is not None else line
