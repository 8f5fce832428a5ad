"""Uncaught exceptions of threads and finalizers of a step, in both isolations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_BODIES = """
import threading

def read():
    raise ValueError("no supply")

def raises(ctx, params):
    thread = threading.Thread(target=read, name="reader")
    thread.start()
    thread.join()
    return {"status": params.get("status", "ok")}

class Supply:
    def __del__(self):
        raise ValueError("still on")

def forgets(ctx, params):
    Supply()
    return {"status": "ok"}
"""
_ISOLATIONS = pytest.mark.parametrize("isolation", ["process", "inline"])


def _step(project: Project, function: str, isolation: str, more: str = "") -> None:
    project.write("bodies.py", _BODIES)
    head = f"type: python, module: bodies, function: {function}"
    project.recipe("x", {"s": f"{head}, isolation: {isolation}{more}"})


@_ISOLATIONS
@pytest.mark.parametrize(
    ("function", "category", "expected"),
    [
        (
            "raises",
            "PytestUnhandledThreadExceptionWarning: Exception in thread reader",
            "no supply",
        ),
        ("forgets", "PytestUnraisableExceptionWarning: Exception ignored ", "still on"),
    ],
)
def test_an_uncaught_exception_of_a_thread_or_finalizer_is_a_warning(
    project: Project, isolation: str, function: str, category: str, expected: str
) -> None:
    _step(project, function, isolation)
    result = project.spawn()

    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines([f"*{category}*", f"*ValueError: {expected}"])


@_ISOLATIONS
@pytest.mark.parametrize("function", ["raises", "forgets"])
def test_an_uncaught_exception_fails_the_step_if_warnings_are_errors(
    project: Project, isolation: str, function: str
) -> None:
    _step(project, function, isolation)
    result = project.spawn("-W", "error")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*Pytest*ExceptionWarning: Exception *"])


@_ISOLATIONS
@pytest.mark.parametrize(
    ("function", "plugin"), [("raises", "threadexception"), ("forgets", "unraisableexception")]
)
def test_an_uncaught_exception_is_no_warning_without_the_plugin_of_pytest(
    project: Project, isolation: str, function: str, plugin: str
) -> None:
    _step(project, function, isolation)
    result = project.spawn("-p", f"no:{plugin}", "-W", "error")

    result.assert_outcomes(passed=1)


def test_the_warning_and_the_log_name_the_line_that_raised(project: Project) -> None:
    _step(project, "raises", "process")
    result = project.spawn("-rA")

    result.stdout.fnmatch_lines(["*bodies.py:4: Pytest*Warning: *", "ValueError: no supply"])


def test_an_uncaught_exception_does_not_hide_the_failure_of_a_step(project: Project) -> None:
    _step(project, "raises", "process", ", params: {status: off}")
    result = project.spawn("-W", "error")

    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E   status 'off', no reason given"])
