"""What is too large to start a program with, and the way that has no limit."""

import os
from collections.abc import Iterator, Mapping, Sequence

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.recipe.step_types import ShellStep

_LARGEST = 128 * 1024
"""Bytes of one word or variable with its name, a zero byte at the end among them."""

_CURE = "hand it over by stdin"


def failure(step: ShellStep, argv: Sequence[str], env: Mapping[str, str]) -> Failure:
    """Say what the system did not take.

    Args:
        step: The step.
        argv: The words that it was to be started with.
        env: Its variables.
    """
    sizes = [*_words(step, argv), *_variables(step, env)]
    size, what, key = max(sizes)
    if size + 1 > _LARGEST:
        reason = f"{what} has {size:,} bytes; 128 KiB are the most for one: {_CURE}"
    else:
        total = sum(each for each, _, _ in sizes)
        reason = (
            f"arguments and variables of {total:,} bytes are more than the system takes;"
            f" {what} is the largest with {size:,}: {_CURE}"
        )
    return Failure(kind="validation", reason=reason, place=step.at.get(key) or step.at["cmd"])


def _words(step: ShellStep, argv: Sequence[str]) -> Iterator[tuple[int, str, str]]:
    is_line = isinstance(step.cmd, str)
    for number, word in enumerate(argv, start=1):
        what = "the command line" if is_line else f"word {number} of 'cmd'"
        yield len(os.fsencode(word)), what, "cmd"


def _variables(step: ShellStep, env: Mapping[str, str]) -> Iterator[tuple[int, str, str]]:
    for name, value in env.items():
        size = len(os.fsencode(f"{name}={value}"))
        yield size, f"the variable {name}", "args" if name in step.args else "cmd"
