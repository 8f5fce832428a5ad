"""The process that evaluates expressions at collection."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions.expression import (
    AbsentError,
    Expression,
    ExpressionError,
    collecting,
    end_collection,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

PLACE = Place(3, 7)
ENDLESS = "1 | round(10**9, 'ceil')"


def value(text: str, **names: Any) -> Any:
    with collecting():
        return Expression(text, PLACE).value(names)


def error_of(text: str, kind: type[ExpressionError] = ExpressionError, **names: Any) -> str:
    with pytest.raises(kind) as caught:
        value(text, **names)
    assert (type(caught.value), caught.value.place) == (kind, PLACE)
    return str(caught.value)


Forks = Callable[[], list[psutil.Process]]


@pytest.fixture
def forks() -> Forks:
    """Return the processes that the test has started."""
    before = psutil.Process().children()
    return lambda: [one for one in psutil.Process().children() if one not in before]


@pytest.fixture
def _no_fork(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise AssertionError("forked")

    monkeypatch.setattr(os, "fork", refuse)


@pytest.mark.usefixtures("_no_fork")
@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("vars.gain", 2),
        ("vars['gains'][0]", 1),
        ("vars.gains[-1]", 3),
        ("[1, 'a', none, vars.gain]", [1, "a", None, 2]),
        ("{'a': {'b': vars.gain}}", {"a": {"b": 2}}),
        ("-1.5", -1.5),
    ],
)
def test_a_name_or_a_literal_starts_no_process(text: str, wanted: Any) -> None:
    assert value(text, vars={"gain": 2, "gains": [1, 3]}) == wanted


def test_a_name_or_a_literal_loads_neither_the_process_nor_regex() -> None:
    code = """
import sys
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import expression
with expression.collecting():
    expression.Expression("[vars.x, 1]", Place(1, 1)).value({"vars": {"x": 1}})
    expression.end_collection()
print([one for one in sys.modules if one.endswith((".collection", "regex", "resource"))])
"""
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"


@pytest.mark.parametrize(
    "text",
    ["x + 1", "x > 1", "x | string", "range(x)", "x ** 2", "x if x else 1", "[x | abs]", "x[:1]"],
)
@pytest.mark.usefixtures("_no_fork")
def test_each_other_expression_is_evaluated_in_a_process_of_its_own(text: str) -> None:
    with pytest.raises(AssertionError, match="forked"):
        value(text, x=2)
    Expression(text, PLACE).evaluate_raw({"x": [2]} if ":" in text else {"x": 2})


def test_a_system_that_cannot_fork_evaluates_without_limits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "fork")
    assert value("x + 1", x=1) == 2


def test_all_expressions_share_one_process_that_ends_with_the_collection(forks: Forks) -> None:
    assert value("x + 1", x=1) == 2
    (process,) = forks()
    assert value("[x, y] | join('-')", x="é", y=10**30, z=object()) == f"é-{10**30}"
    assert forks() == [process]
    end_collection()
    assert not forks()


def test_the_errors_are_those_of_a_run() -> None:
    assert error_of("x + 1", AbsentError) == "`x + 1`: unknown name 'x'"
    assert error_of("1 / x", x=0) == "`1 / x`: ZeroDivisionError: division by zero"
    text = "('a' | attr('upper')).__self__"
    for names in ({}, {"x": 1}):
        with pytest.raises(ExpressionError) as caught:
            Expression(text, PLACE).value(names)
        assert error_of(text, type(caught.value)) == str(caught.value)
    assert error_of("'a'.encode()").startswith("`'a'.encode()` ")


def test_after_the_time_is_over_other_expressions_are_refused_at_once(forks: Forks) -> None:
    late = "the expressions of all files together take more than 2 s at collection"
    value("1 + 1")
    with pytest.raises(ExpressionError) as caught:
        value(ENDLESS)
    assert str(caught.value) == f"`{ENDLESS}`: still evaluating after 2 s"
    assert not forks()
    assert error_of("1 + 1") == f"`1 + 1`: {late}"
    assert value("x", x=1) == 1
    end_collection()
    assert value("1 + 1") == 2


def test_after_the_death_of_the_process_another_one_evaluates_the_rest(forks: Forks) -> None:
    value("1 + 1")
    (process,) = forks()
    process.kill()
    dead = "it ended the process that evaluates it"
    assert error_of("1 + 1") == f"`1 + 1`: {dead}"
    assert value("1 + 2") == 3


def test_after_ctrl_c_no_expression_gets_the_value_of_another(forks: Forks) -> None:
    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    value("1 + 1")
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        with pytest.raises(KeyboardInterrupt):
            value(ENDLESS)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert not forks()
    assert value("1 + 2") == 3


@pytest.fixture
def killed() -> Iterator[psutil.Process]:
    """The process of a collection that was killed while it evaluated an endless expression."""
    code = f"""
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.recipe.expressions import expression
one = expression._collection()
one._left = 60.0
with expression.collecting():
    expression.Expression("1 + 1", Place(1, 1)).value({{}})
    print(one._pid, flush=True)
    expression.Expression("{ENDLESS}", Place(1, 1)).value({{}})
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        process = psutil.Process(int(parent.stdout.readline()))
        while process.cpu_times().user < 0.2:  # it evaluates
            assert process.is_running()
        parent.kill()
    yield process
    if process.is_running():
        process.kill()


def test_the_process_ends_itself_if_pytest_is_killed(killed: psutil.Process) -> None:
    assert psutil.wait_procs([killed], timeout=60) == ([killed], [])
