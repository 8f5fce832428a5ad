"""Arguments and variables that are too large for exec are named, with their size and the cure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from pytest_orchestrator.core.result import Failure
from pytest_orchestrator.execution.steps import shell

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

LIMIT = 128 * 1024
ONE = "128 KiB are the most for one: hand it over by stdin"
LARGE = "y" * LIMIT


@pytest.mark.parametrize(
    ("cmd", "keys", "key", "reason"),
    [
        ("true", {"args": {"DATA": LARGE}}, "args", f"the variable DATA has 131,077 bytes; {ONE}"),
        (["true", "a", LARGE], {}, "cmd", f"word 3 of 'cmd' has 131,072 bytes; {ONE}"),
        (f"true; {LARGE}", {}, "cmd", f"the command line has 131,078 bytes; {ONE}"),
        (["true", "é" * (LIMIT // 2)], {}, "cmd", f"word 2 of 'cmd' has 131,072 bytes; {ONE}"),
    ],
)
def test_a_word_or_variable_that_is_too_large_is_named(
    bench: Bench, cmd: str | list[str], keys: dict[str, Any], key: str, reason: str
) -> None:
    step = bench.shell_step(cmd, **keys)
    ended = bench.shell(cmd, **keys)

    assert ended.failure == Failure(kind="validation", reason=reason, place=step.at[key])


def test_the_largest_of_too_many_words_is_named(bench: Bench) -> None:
    words = ("true", *["y" * 100_000] * 70, "z" * 100_001)
    step = msgspec.structs.replace(bench.shell_step(["true"]), cmd=words)
    failure = shell.run(step, bench.attempt).failure

    assert failure is not None
    assert failure.kind == "validation"
    assert failure.reason.startswith("arguments and variables of 7,")
    assert failure.reason.endswith(
        "word 72 of 'cmd' is the largest with 100,001: hand it over by stdin"
    )


def test_a_word_just_below_the_limit_is_accepted(bench: Bench) -> None:
    assert bench.shell(["true", "y" * (LIMIT - 1)], parse="text").failure is None
