"""Terminal of a session, and the thread of an xdist controller that shows questions at it."""

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.extras import CI, is_ci
from pytest_orchestrator.core.questions import Answer, Question
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.plugin.callables import at_recipe
from pytest_orchestrator.plugin.options.variables import ASK
from pytest_orchestrator.plugin.questions.form import Terminal, TerminalClosed, fill
from pytest_orchestrator.plugin.questions.queue import OpenQuestion, QuestionQueue
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.plugin.reporting.not_run import NAME as NOT_RUN
from pytest_orchestrator.plugin.reporting.progress import silence
from pytest_orchestrator.recipe.variables import ExternalValue

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.recipe.model.recipe import Recipe


_WITHDRAWN = 5.0
"""Seconds after the end of an unanswered question for which Ctrl-C still counts for its step."""

_NO_TERMINAL = "there is no terminal to ask at"


@contextlib.contextmanager
def terminal_of(config: pytest.Config) -> Iterator[Terminal | str]:
    """Free pytest's terminal for a form while a ``with`` block runs.

    The capture of output and input is suspended, and the status line is hidden.

    Args:
        config: The configuration of the session.

    Yields:
        The terminal; without one, the reason.
    """
    if is_ci():
        yield CI
        return
    capture: Any = config.pluginmanager.get_plugin("capturemanager")
    reporter: Any = config.pluginmanager.get_plugin("terminalreporter")
    with silence(config), contextlib.ExitStack() as stack:
        if capture is not None:
            stack.enter_context(capture.global_and_fixture_disabled())
            capture.suspend_global_capture(in_=True)
        out = _terminal_output()
        if out is None:
            yield _NO_TERMINAL
            return
        if reporter is not None:
            reporter.ensure_newline()
            reporter.flush()
        begins_line = reporter is None or config.get_terminal_writer().width_of_current_line == 0
        yield Terminal(0, out, begins_line=begins_line)


def _terminal_output() -> int | None:
    """Return the descriptor of stdout or stderr that is a terminal; None if no person can type."""
    try:
        # A process in the background would be stopped as soon as it reads its terminal.
        if not os.isatty(0) or os.tcgetpgrp(0) != os.getpgrp():
            return None
    except OSError:
        return None
    return next((number for number in (1, 2) if os.isatty(number)), None)


class Presenter(Plugin):
    """Thread of an xdist controller that shows one question after another.

    The main thread of the controller reports items meanwhile. As a plugin of pytest, this object
    hides the prompt while pytest writes a report.

    Args:
        config: The configuration of the session.
        queue: The queue of the questions.
        turn: Function that has a person answer a question.

    Attributes:
        terminal: The terminal with the form that is shown; None if none is shown.
    """

    def __init__(
        self,
        config: pytest.Config,
        queue: QuestionQueue,
        turn: Callable[[OpenQuestion], None],
    ) -> None:
        self._config = config
        self.terminal: Terminal | None = None
        self._queue, self._turn = queue, turn
        self._shown: OpenQuestion | None = None
        self._shown_until = 0.0
        self._questions: SimpleQueue[OpenQuestion | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="orchestrator-questions")
        self._thread.daemon = True
        self._thread.start()

    def put(self, question: OpenQuestion) -> None:
        """Add a question to those that are shown in turn."""
        self._questions.put(question)

    def _run(self) -> None:
        while (question := self._questions.get()) is not None:
            self._shown, self._shown_until = question, float("inf")
            self._turn(question)
            is_answered = isinstance(question.outcome, Answer)
            self._shown_until = 0.0 if is_answered else time.monotonic() + _WITHDRAWN

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, object, object]:
        """Hide the prompt while pytest writes."""
        with self._hidden():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, object, object]:
        """Hide the prompt while pytest writes."""
        with self._hidden():
            return (yield)

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """End all questions, so that the terminal is as before when pytest writes its summary.

        The interrupt is reported at the step whose question is shown, as without workers.
        """
        # Ctrl-C reaches the worker too, which may have withdrawn the question already.
        shown = self._shown if time.monotonic() < self._shown_until else None
        place = None if shown is None else self._place_of(shown.asked.node)
        if place is not None and not self._config.getoption("fulltrace", False):
            blamed = at_recipe(excinfo.value, *place)
            excinfo.traceback = pytest.ExceptionInfo.from_exception(blamed).traceback
        self._close("no question is asked after Ctrl-C")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End the thread."""
        self._close("the session ends")

    def _place_of(self, node: str) -> tuple[Path, str, int] | None:
        """Return the file, the name and the line of a step; None if it is not known."""
        not_run: Any = self._config.pluginmanager.get_plugin(NOT_RUN)
        found = None if not_run is None else not_run.step(node)
        if found is None:
            return None
        recipe, step = found
        return recipe.source(step).path, step.name, step.line

    def _close(self, reason: str) -> None:
        self._queue.close(reason)
        self._questions.put(None)
        self._thread.join(timeout=2.0)

    def _hidden(self) -> "contextlib.AbstractContextManager[None]":
        terminal = self.terminal
        return contextlib.nullcontext() if terminal is None else terminal.hidden()


def ask_inputs(
    config: pytest.Config, recipe: "Recipe", fields: Mapping[str, InputField]
) -> dict[str, ExternalValue]:
    """Ask for the values of inputs at the terminal of the session.

    Args:
        config: The configuration of the session.
        recipe: The recipe that needs them.
        fields: The inputs by name.

    Returns:
        The values by name; empty without a terminal, under ``CI`` and at the end of the input.
    """
    with terminal_of(config) as terminal:
        if isinstance(terminal, str):
            return {}
        count = "an input" if len(fields) == 1 else f"{len(fields)} inputs"
        question = Question(message=f"{recipe.id} needs {count}.", fields=dict(fields))
        try:
            values, _ = fill(terminal, "orchestrator: before the first step", question, _never)
        except TerminalClosed:
            terminal.write("\n")
            return {}
        except KeyboardInterrupt as end:
            name = next(iter(fields))
            # pytest reports the last frame, so that must be the recipe.
            raise at_recipe(end, recipe.path, name, recipe.at[f"inputs.{name}"].line) from None
    return {name: ExternalValue(value, ASK, _text(value)) for name, value in values.items()}


def _never() -> bool:
    return False


def _text(value: "Json") -> str:
    """Return a value in the form that `--recipe-var` takes."""
    return value if isinstance(value, str) else json.dumps(value)
