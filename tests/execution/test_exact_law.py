"""Property test: a step passes only if exact arithmetic says that its numbers meet their limits.

Hypothesis composes the output and the exit code of a program, a measurement of it with its limits,
and a criterion. The program runs in a real lane, and its outcome is compared with an evaluation
that shares no code with the package: a decimal in YAML is the fraction that is written, a float the
fraction of its `repr`; a number in JSON is the fraction of its text, also if a float loses digits.
"""

from __future__ import annotations

import json
import math
import os
from decimal import Context
from fractions import Fraction
from operator import eq, ge, gt, le, lt, ne
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Process, Resources
from pytest_orchestrator.execution.criteria import check
from pytest_orchestrator.execution.criteria.simple import CheckInputs

if TYPE_CHECKING:
    from tests.execution.conftest import Bench

EXAMPLES = int(os.environ.get("VERDICT_EXAMPLES", "25"))
"""Number of examples; `scripts/check --all` sets 2,000."""
PHASES = (Phase.generate,) if "VERDICT_FIRST" in os.environ else tuple(Phase)
"""`scripts/mutants` skips the search for the smallest example, which takes minutes."""

_SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

MIDDLES = ("3.3", "3.3", "0.1", "0", "-12.5", "1e22", "9007199254740992")
"""Limits, and the middles of ranges."""
WIDTHS = ("0.05", "0.05", "0.1", "3", "1e-9", "0")
"""Tolerances, and percentages."""
TEXTS = ("ERROR no reading", "", "12abc", "inf", "-inf", "nan", "1e400000000", "true", "None")
"""Outputs that are no measured value."""
_OPERATORS = {"<=": le, "<": lt, "==": eq, "!=": ne, ">=": ge, ">": gt}
_OPPOSITES = {"<=": "<", "<": "<=", "==": "!=", "!=": "==", ">=": ">", ">": ">="}
"""For each operator the one that is false exactly if it holds with its sides exchanged."""
CODES = (0, 1, 3, 126, 127, 128, 130, 139, 255)
WANTED = (None, 0, 3, 127, "nonzero", ["nonzero"], [0, "nonzero"], ["nonzero", 139])


class Limits(NamedTuple):
    """The limits of a measurement as YAML, and the range that they are."""

    yaml: str
    low: Fraction | None
    high: Fraction | None

    def meets(self, value: Fraction) -> bool:
        """Return True if a value is in the range."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


@st.composite
def limits(draw: st.DrawFn) -> Limits:
    """Return limits of each kind, some with more digits than a float keeps."""
    text, width = draw(st.sampled_from(MIDDLES)), draw(st.sampled_from(WIDTHS))
    if "." in text and draw(st.booleans()):
        text += "0" * 15 + draw(st.sampled_from("123456789"))
    middle, half = Fraction(text), Fraction(width)
    share = abs(middle) * half / 100
    ranges = [
        Limits(f"nominal: {text}, tolerance: {width}", middle - half, middle + half),
        Limits(f"within: {{of: {text}, percent: {width}}}", middle - share, middle + share),
    ]
    if "e" not in width:
        percent = f"nominal: {text}, tolerance: '{width}%'"
        ranges.append(Limits(percent, middle - share, middle + share))
    one = [
        Limits(f"low: {text}", middle, None),
        Limits(f"high: {text}", None, middle),
        Limits(f"equals: {text}", middle, middle),
    ]
    return draw(st.sampled_from([*ranges, *one]))


@st.composite
def numbers(draw: st.DrawFn, around: Limits) -> float | int:
    """Return a number at a limit, a few units in the last place beside it, or anywhere."""
    edges = [one for one in (around.low, around.high) if one is not None]
    edge = draw(st.sampled_from(edges))
    near: float = float(edge)
    for _ in range(draw(st.integers(0, 2))):
        near = math.nextafter(near, draw(st.sampled_from([-math.inf, math.inf])))
    whole = round(edge) + draw(st.integers(-1, 1))
    return draw(st.sampled_from([near, near, whole, draw(st.floats(-1e300, 1e300))]))


@st.composite
def long_decimals(draw: st.DrawFn, around: Limits) -> str:
    """Return JSON of a number at a limit or just beside it, often with digits that floats lose."""
    edge = draw(st.sampled_from([one for one in (around.low, around.high) if one is not None]))
    number = edge + draw(st.sampled_from([-1, 0, 1])) * Fraction(1, 10 ** draw(st.integers(0, 30)))
    # All limits are finite decimals of less than 100 digits.
    text = f"{Context(100).divide(*number.as_integer_ratio()):f}"
    return text if "." in text else f"{text}.0"


class Value(NamedTuple):
    """The output of a program, an expression that reads it, and the number that is measured.

    Attributes:
        number: None if the expression gives no number.
    """

    stdout: str
    parse: str
    expression: str
    number: Fraction | None


@st.composite
def values(draw: st.DrawFn, around: Limits) -> Value:
    """Return a value in JSON or in text, with and without a filter and its default."""
    number = draw(numbers(around))
    kinds = ["long", "json", "json", "float", "float", "int", "odd", "infinite"]
    kind = draw(st.sampled_from(kinds))
    if kind == "json":
        return Value(json.dumps(number), "data", "result", _fraction(number))
    if kind == "long":
        text = draw(long_decimals(around))
        key = draw(st.sampled_from(["", "status", "v"]))
        stdout, name = (f'{{"{key}": {text}}}', f"result.{key}") if key else (text, "result")
        expression = draw(st.sampled_from(["{}", "[{}][0]", "[{0}, {0}] | max"])).format(name)
        return Value(stdout, "data", expression, Fraction(text))
    if kind == "odd":
        odd = draw(st.sampled_from(["null", "true", "false", '"3.3"', "[3.3]", '"inf"']))
        return Value(odd, "data", "result", None)
    if kind == "infinite":
        return Value("", "text", draw(st.sampled_from(["1e308 * 10", "-1e308 * 10"])), None)
    text = draw(st.sampled_from([repr(number), repr(number), *TEXTS]))
    default = draw(st.sampled_from([None, None, number]))
    call = kind if default is None else f"{kind}({default!r})"
    return Value(text, "text", f"stdout | {call}", _filtered(kind, text, default))


def _fraction(number: float) -> Fraction:
    return Fraction(repr(number))


def _filtered(kind: str, text: str, default: float | None) -> Fraction | None:
    """Return the number that a filter makes of a text; None for infinity, NaN and no number."""
    try:
        whole = kind == "int" and text.strip().lstrip("-").isdigit()
        number: float = int(text) if whole else float(text)
        if kind == "int":
            number = int(number)
    except (ValueError, OverflowError):
        return None if default is None else _fraction(default)
    return _fraction(number) if math.isfinite(number) else None


def _accepts(wanted: Any, code: int) -> bool:
    """Return True if the exit code of a script of a shell is a wanted one."""
    listed = wanted if isinstance(wanted, list) else [0 if wanted is None else wanted]
    is_own = code not in (0, 126, 127) and not 128 < code <= 128 + 64
    return code in listed or ("nonzero" in listed and is_own)


@given(data=st.data())
@_SETTINGS
@pytest.mark.unmeasured
def test_a_step_passes_exactly_if_its_numbers_meet_their_limits(
    bench: Bench, data: st.DataObject
) -> None:
    around = data.draw(limits())
    value = data.draw(values(around))
    codes = st.tuples(st.sampled_from(CODES), st.sampled_from(WANTED))
    code, wanted = data.draw(st.one_of(st.just((0, None)), st.just((0, None)), codes))
    bench.write("out", value.stdout)
    cmd = data.draw(st.sampled_from([f"cat out; exit {code}", "./script"]))
    bench.write("script", f"#!/bin/sh\ncat out\nexit {code}\n", mode=0o755)
    success = "" if wanted is None else f"    success: {{exit_code: {json.dumps(wanted)}}}\n"
    step = bench.recipe(
        f"steps:\n  - name: s\n    type: shell\n    cmd: {cmd}\n    parse: {value.parse}\n{success}"
        f"    measurements: {{m: {{value: '{value.expression}', {around.yaml}}}}}\n"
    ).step("s")

    result = bench.result(step)

    is_met = value.number is not None and around.meets(value.number)
    reason = result.failure and result.failure.reason
    expected = "passed" if _accepts(wanted, code) and is_met else "failed"
    assert result.outcome == expected, (around.yaml, value, code, wanted, reason)


@given(wanted=st.sampled_from(WANTED), direct=st.booleans(), exists=st.booleans())
@_SETTINGS
@pytest.mark.unmeasured
def test_a_program_that_cannot_be_run_passes_only_by_its_number(
    bench: Bench, wanted: Any, direct: bool, exists: bool
) -> None:
    bench.write("plain", "x")
    program = "./plain" if exists else "./gone"
    keys = {} if wanted is None else {"success": {"exit_code": wanted}}
    step = bench.shell_step([program] if direct else program, parse="text", **keys)

    listed = wanted if isinstance(wanted, list) else [wanted]
    expected = "passed" if (126 if exists else 127) in listed else "failed"
    assert bench.result(step).outcome == expected


@given(
    code=st.sampled_from(CODES),
    wanted=st.sampled_from(WANTED),
    cmd=st.sampled_from(["exit {}; true", "./script", ["./script"]]),
)
@_SETTINGS
@pytest.mark.unmeasured
def test_an_exit_code_passes_by_its_number_or_as_an_error_of_the_program(
    bench: Bench, code: int, wanted: Any, cmd: str | list[str]
) -> None:
    bench.write("script", f"#!/bin/sh\nexit {code}\n", mode=0o755)
    keys = {} if wanted is None else {"success": {"exit_code": wanted}}
    line = cmd.format(code) if isinstance(cmd, str) else cmd
    step = bench.shell_step(line, parse="text", **keys)

    expected = "passed" if _accepts(wanted, code) else "failed"
    assert bench.result(step).outcome == expected, (code, wanted, cmd)


@given(data=st.data())
@_SETTINGS
@pytest.mark.unmeasured
def test_an_assertion_compares_the_decimals_that_are_written(
    bench: Bench, data: st.DataObject
) -> None:
    limit = data.draw(st.sampled_from([3.35, 0.1, -12.5, 1e22, 1e23, 9007199254740992.0, 2**63]))
    around = Limits("", _fraction(limit), None)
    number = data.draw(st.one_of(numbers(around).map(json.dumps), long_decimals(around)))
    assume("Infinity" not in number)
    operator = data.draw(st.sampled_from(["<=", "<", "==", "!=", ">=", ">"]))
    holds = _OPERATORS[operator](Fraction(number), _fraction(limit))
    sides = (f"result {operator} {limit!r}", f"not {limit!r} {_OPPOSITES[operator]} result")
    bench.write("out", number)
    asserted = {"assert": [data.draw(st.sampled_from(sides))]}
    result = bench.result(bench.shell_step("cat out", parse="data", success=asserted))

    assert result.outcome == ("passed" if holds else "failed"), (number, asserted)


@given(
    peak=st.integers(1, 30_000_000),
    bound=st.one_of(st.none(), st.integers(1, 30_000_000)),
    limit=st.sampled_from([0.5, 5, 10, 10.3, 12, 12.582912, 20]),
)
@_SETTINGS
def test_a_limit_of_memory_holds_only_if_the_peak_or_its_bound_meets_it(
    bench: Bench, peak: int, bound: int | None, limit: float
) -> None:
    assume(bound is None or peak <= bound)
    step = bench.shell_step("true", parse="text", success={"max_rss_mb": limit})
    process = Process(argv=("true",), cwd="/", alone="", rss_bound=bound)
    ended = Ended(usage=Resources(seconds=0.0, max_rss=peak, source={}), process=process)
    (verdict,) = check.checked(CheckInputs(step, bench.context, ended, 0.0, bench.root, {}))

    assert (verdict.unmet is None) == (Fraction(bound or peak, 10**6) <= _fraction(limit))
    assert isinstance(verdict.place, Place)
