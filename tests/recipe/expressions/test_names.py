"""Names that expressions may use at each place, and the cures for unknown names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.expression import Expression
from pytest_orchestrator.recipe.expressions.names import (
    AFTER,
    BEFORE,
    COLLECTED,
    EARLY,
    TRIED,
    unknown,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    Problems = Callable[[str], list[str]]

STEP = "steps:\n  - name: a\n    type: shell\n    cmd: x\n"


@pytest.mark.parametrize(
    ("text", "known", "message"),
    [
        ("vars.x + ctx.y + attempt", BEFORE, None),
        ("result.x and stdout and stderr and exit_code", AFTER, None),
        ("kind == 'timeout'", TRIED, None),
        ("range(3) | list + [dict(a=1)]", COLLECTED, None),
        ("nope is defined", BEFORE, None),
        ("nope | default(1)", BEFORE, None),
        ("varz.x", BEFORE, "unknown name 'varz' (did you mean 'vars'?)"),
        ("zzz", COLLECTED, "unknown name 'zzz' (there is env, vars)"),
        ("result.x", BEFORE, "'result' is known only after the step code has run"),
        ("kind", AFTER, "'kind' is known only in `until` and `abort_if`"),
        (
            "ctx.x",
            EARLY,
            (
                "'ctx' cannot be used here "
                "(there is env, matrix, recipe, run, vars; an input is vars.NAME)"
            ),
        ),
        ("len(vars.x)", BEFORE, "unknown name 'len' (write `x | length`)"),
        ("vars.x == null", BEFORE, "unknown name 'null' (write `none`)"),
        ("no", BEFORE, "unknown name 'no' (write `false`, or the text 'no')"),
        ("yes", BEFORE, "unknown name 'yes' (write `true`, or the text 'yes')"),
        (
            "steps.my-step.outcome",
            BEFORE,
            "unknown name 'step' (a name with a dash is written steps['my-step'])",
        ),
        (
            "ctx.dut.serial-no",
            BEFORE,
            "unknown name 'no' (a name with a dash is written ctx['dut.serial-no'])",
        ),
        (
            "vars.max-gain > 1",
            BEFORE,
            "unknown name 'gain' (a name with a dash is written vars['max-gain'])",
        ),
    ],
)
def test_an_unknown_name_is_reported_with_its_cure(
    text: str, known: frozenset[str], message: str | None
) -> None:
    found = unknown(Expression(text, Place(1, 1)).reads, text, known, {})
    assert (found and "".join(found)) == message


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (
            "if: result.x",
            "5:9 'result' in shell step 'a' is known only after the step code has run",
        ),
        (
            'args: {X: "${{ stdout }}"}',
            "5:15 'stdout' in shell step 'a' is known only after the step code has run",
        ),
        (
            "retry: {attempts: 2, until: knd == 'x'}",
            "5:33 unknown name 'knd' in shell step 'a' (did you mean 'kind'?)",
        ),
        (
            "outputs: {k: '${{ reslut.x }}'}",
            "5:18 unknown name 'reslut' in shell step 'a' (did you mean 'result'?)",
        ),
        (
            "measurements: {m: {value: reslut.x}}",
            "5:31 unknown name 'reslut' in shell step 'a' (did you mean 'result'?)",
        ),
        (
            "success: {assert: [reslut.x]}",
            "5:24 unknown name 'reslut' in shell step 'a' (did you mean 'result'?)",
        ),
        (
            "success: {files: [{path: x, contains: '${{ reslut }}'}]}",
            "5:43 unknown name 'reslut' in shell step 'a' (did you mean 'result'?)",
        ),
    ],
)
def test_an_unknown_name_is_reported_at_the_place_of_its_scalar(
    problems: Problems, keys: str, message: str
) -> None:
    assert problems(f"{STEP}    {keys}\n") == [message]
