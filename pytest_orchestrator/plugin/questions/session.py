"""Questions of a session: answers given before the run, and a person at the page or terminal.

For the operator page there is a server. Its socket, folder, thread and the address file in the run
folder exist only while a question is open. So a session whose questions are answered before the run
has none of them.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import pytest
from msgspec import UNSET

from pytest_orchestrator.context.rpc import protocol
from pytest_orchestrator.context.rpc.address import listen_unix
from pytest_orchestrator.context.rpc.server import Limits, Server
from pytest_orchestrator.core.events import QuestionAnswered, QuestionAsked
from pytest_orchestrator.core.extras import CI
from pytest_orchestrator.core.files import private_folder, replacing
from pytest_orchestrator.core.questions import BUTTON, Answer, Asked, NoAnswer, Question
from pytest_orchestrator.core.typed_fields import InputField
from pytest_orchestrator.execution.interruptible import InterruptibleEvent
from pytest_orchestrator.plugin import worker_context
from pytest_orchestrator.plugin.options.settings import run_dir
from pytest_orchestrator.plugin.questions import form
from pytest_orchestrator.plugin.questions.given import GivenAnswers, answers_of
from pytest_orchestrator.plugin.questions.presenter import Presenter, terminal_of
from pytest_orchestrator.plugin.questions.queue import (
    OpenQuestion,
    QuestionQueue,
    WrongAnswer,
    answer_now,
    answer_of_controller,
    missing,
)
from pytest_orchestrator.plugin.session_state import state_of
from pytest_orchestrator.recipe.model.root_mappings import serial_of
from pytest_orchestrator.runs.operator import channel, page_lease
from pytest_orchestrator.runs.operator.channel import (
    FILE,
    Look,
    Reply,
    Request,
    ShownQuestion,
    address_text,
)
from pytest_orchestrator.runs.operator.identity import conflict, identified

if TYPE_CHECKING:
    import tempfile
    from collections.abc import Mapping

    from pytest_orchestrator.context.rpc.xdist import SharedContext
    from pytest_orchestrator.core.json_values import Json
    from pytest_orchestrator.execution.attempt_context import PendingQuestion
    from pytest_orchestrator.execution.scheduling.run import RecipeRun
    from pytest_orchestrator.plugin.questions.given import GivenAnswer
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.recipe.model.step import Step


_KEY = pytest.StashKey["SessionQuestions"]()
_MAKING = threading.Lock()


def questions_of(config: pytest.Config) -> "SessionQuestions":
    """Return the questions of the session with this configuration; make them at the first call.

    Thread-safe: the first two questions of a session may come from two steps at the same time.
    """
    with _MAKING:
        if _KEY not in config.stash:
            config.stash[_KEY] = SessionQuestions(config)
    return config.stash[_KEY]


class SessionQuestions:
    """Asker of all questions of this process.

    An xdist worker answers a question from the answers given before the run, and otherwise sends
    it to the controller.

    Args:
        config: The configuration of the session.

    Attributes:
        queue: The questions that wait for a person.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._state: SessionState = state_of(config)
        self._given = given_answers(config)
        self._is_worker = hasattr(config, "workerinput")
        self._presenter: Presenter | None = None
        self._presenting = threading.Lock()
        self._naming = threading.Lock()
        self._channel: QuestionChannel | None = None
        self._runs = run_dir(config)
        self.queue = QuestionQueue(self._present, self._run_in_turn)

    def ask(self, recipe: "Recipe", pending: "PendingQuestion") -> Answer:
        """Return the answer to a question of a step, and record who gave it.

        Args:
            recipe: The recipe of the step.
            pending: The question.

        Raises:
            NoAnswer: The question gets no answer; the text names what is missing.
        """
        question = pending.question
        given = self._given.of(recipe, pending.step, question, pending.element)
        values = _values(given, question)
        left = _unanswered(question, given)
        reported = self._state.run(recipe).reported
        step = recipe.step(pending.step)
        unit = step.unit
        serial = reported.vars.get(serial_of(unit)) if unit else None
        asked = _asked(recipe, pending, left, serial or reported.test_meta.get("dut"))
        asked = msgspec.structs.replace(asked, cell=f"unit:{unit}") if unit else asked
        wanted = [name for name in question.needed if name not in given]
        asked = msgspec.structs.replace(asked, wanted=tuple(wanted or left.names))
        if given and set(question.needed) <= given.keys():
            answer = answer_now({}, str(values.get(BUTTON, question.buttons[0])), "answers")
        else:
            answer = self._answer_of_person(asked, pending)
        if BUTTON in values:
            answer = msgspec.structs.replace(answer, button=str(values[BUTTON]))
        known = values | answer.values
        fields = question.fields.items()
        complete = {name: known.get(name, one.absent) for name, one in fields}
        run = self._state.run(recipe)
        dut = {key: str(complete[name]) for name, key in question.dut.items() if complete[name]}
        with self._naming:
            wrong = _conflict(run, step, question, dut) if dut else ""
            answer = msgspec.structs.replace(answer, values=complete, dut={} if wrong else dut)
            self._record(asked, question, answer)
            if wrong:
                raise NoAnswer(wrong)
            if dut:
                run.identify(step, dut)
        return answer

    def _answer_of_person(self, asked: Asked, pending: "PendingQuestion") -> Answer:
        if self._state.interrupted:
            raise NoAnswer(f"no question is asked after {self._state.interrupted}")
        recorder = self._state.recorder
        if recorder is not None:
            event = QuestionAsked(
                recipe=asked.recipe,
                step=asked.step,
                attempt=asked.attempt,
                message=self._state.masked(asked.question.message),
                fields=tuple(asked.question.names),
                element=asked.element,
            )
            recorder.append_if_possible(event)
        if self._is_worker:
            if not worker_context.is_shared(self._config):
                raise NoAnswer(f"a worker of --dist=each asks no question; {missing(asked)}")
            context: SharedContext = self._state.context  # type: ignore[assignment]
            return answer_of_controller(context, asked, pending)
        return self.queue.ask(asked, pending.is_withdrawn, pending.deadline)

    def _record(self, asked: Asked, question: Question, answer: Answer) -> None:
        """Add the secrets of an answer to the masker, and append the answer to the journal."""
        for name, field in question.fields.items():
            if field.secret:
                self._state.secrets.add(answer.values[name])
        if self._state.recorder is not None:
            event = QuestionAnswered(
                recipe=asked.recipe,
                step=asked.step,
                attempt=asked.attempt,
                values=self._state.masked_value(answer.values),
                button=answer.button,
                who=answer.who,
                where=answer.where,
                when=answer.when,
                element=asked.element,
                dut=self._state.masked_value(answer.dut),
            )
            self._state.recorder.append_if_possible(event)

    def _run_in_turn(self, turn: "Callable[[OpenQuestion], None]", question: OpenQuestion) -> None:
        """Call `turn` in the main thread, or in the presenter thread of an xdist controller."""
        if self._config.getoption("dist", "no") == "no":
            self._state.run_config.main_queue.in_main_thread(turn)(question)
            return
        with self._presenting:  # each worker's requests have a thread
            if self._presenter is None:
                self._presenter = Presenter(self._config, self.queue, turn)
                self._config.pluginmanager.register(self._presenter, "orchestrator-questions")
        self._presenter.put(question)

    def _present(self, question: OpenQuestion) -> None:
        """Have a person answer a question, at the terminal or on the operator page."""
        with terminal_of(self._config) as found:
            reason = self._unreachable(found)
            if reason:
                question.refuse(f"{reason}; {missing(question.asked)}")
            elif isinstance(found, form.Terminal):
                self._fill(found, question)
        with contextlib.suppress(NoAnswer):
            question.wait(lambda: self._look_for_page(question))

    def _unreachable(self, found: form.Terminal | str) -> str:
        """Return the reason why no person can be asked; else open the channel to the monitor."""
        if isinstance(found, str) and (found == CI or not page_lease.has_page(self._runs)):
            return found if found == CI else f"{found} and no operator page is connected"
        if self._channel is None:
            folder = self._state.folder.path
            self._channel = QuestionChannel(self.queue, folder, self._state.masked)
            self._config.add_cleanup(self._channel.close)
        try:
            self._channel.open()
        except OSError as error:
            if isinstance(found, str):
                return f"{found} and the operator page cannot be reached: {error}"
        return ""

    def _look_for_page(self, question: OpenQuestion) -> None:
        """Refuse a question once no operator page has been connected for some time."""
        of_station = self._config.getoption("recipe_batch") is not None
        grace = page_lease.STATION_GRACE + 30 if of_station else page_lease.GRACE
        if page_lease.seconds_since_page(self._runs) > grace:
            gone = f"no operator page has been connected for {grace:g} s"
            question.refuse(f"{gone}; {missing(question.asked)}")

    def _fill(self, terminal: form.Terminal, question: OpenQuestion) -> None:
        presenter = self._presenter
        if presenter is not None:
            presenter.terminal = terminal
        asked = question.asked
        waiting = sum(not one.is_over for one in self.queue.open) - 1
        more = f" ({waiting} more in the queue)" if waiting else ""
        try:
            values, button = form.fill(
                terminal, asked.title + more, asked.question, lambda: question.is_over
            )
        except form.FormOver:
            answer = question.outcome
            if isinstance(answer, Answer):
                terminal.write(f"  answered by {answer.who} on the operator page\n")
            elif answer:
                terminal.write(f"  not answered: {answer}\n")
        except form.TerminalClosed:
            if not page_lease.has_page(self._runs):
                question.refuse(f"the terminal was closed; {missing(asked)}")
        else:
            question.answer(answer_now(values, button, "terminal"))
        finally:
            if presenter is not None:
                presenter.terminal = None


def _conflict(run: "RecipeRun", step: "Step", question: Question, dut: "Mapping[str, str]") -> str:
    """Return the sentence that an answer names another unit under test; empty if it does not.

    The value of an earlier try of the question does not count.
    """
    if step.unit:
        return _conflict_of_unit(run, step.unit, question, dut)
    before = {
        key: one for key, one in run.scope.identified.items() if key not in {*question.dut.values()}
    }
    meta = identified(run.scope.test_meta, before)
    inputs = {name: run.reported.vars.get(name) for name in run.recipe.inputs}
    for name, key in question.dut.items():
        value, where = dut.get(key, ""), "test_meta"
        known = conflict(meta, key, value)
        for given in (one for one in (name, key) if inputs.get(one) and not known):
            known, where = str(inputs[given]), f"the input '{given}'"
        if value and known not in ("", value):
            label = question.fields[name].label or name
            return f"'{label}' is {value}, and the unit under test is {known} by {where}"
    return ""


def _conflict_of_unit(
    run: "RecipeRun", unit: str, question: Question, dut: "Mapping[str, str]"
) -> str:
    """Return the sentence that a serial number is not that of a unit, or that of two units."""
    units, own = run.recipe.units, run.config.var_values.get(serial_of(unit))
    serials = run.reported.vars
    others = {serials.get(serial_of(one)): one for one in units.all if one != unit} if units else {}
    for name, key in question.dut.items():
        value, label = dut.get(key, ""), question.fields[name].label or name
        if value and own is not None and own.value not in ("", value):
            return (
                f"'{label}' is {value}, and unit {unit} is {own.value} by the input "
                f"'{serial_of(unit)}'"
            )
        if value and value in others:
            return f"'{label}' is {value}, which is the serial number of unit {others[value]}"
    return ""


def _values(given: "Mapping[str, GivenAnswer]", question: Question) -> "dict[str, Json]":
    """Return the values that were given before the run, by field.

    Raises:
        NoAnswer: A value violates a rule.
    """
    try:
        return {name: one.value_for(question) for name, one in given.items()}
    except ValueError as error:
        raise NoAnswer(str(error)) from None


def _unanswered(question: Question, given: "Mapping[str, GivenAnswer]") -> Question:
    """Return a question without the parts that were answered before the run."""
    fields = {name: field for name, field in question.fields.items() if name not in given}
    buttons = question.buttons
    if BUTTON in given or not question.needs_button:
        buttons = buttons[:1]
    return msgspec.structs.replace(question, fields=fields, buttons=buttons)


def _asked(recipe: "Recipe", pending: "PendingQuestion", question: Question, dut: "Json") -> Asked:
    if isinstance(dut, dict):
        dut = " ".join(map(str, dut.values()))
    return Asked(
        recipe=recipe.key,
        step=pending.step,
        node=recipe.node(pending.step),
        cell=recipe.cell.id if recipe.cell else "",
        dut="" if dut is None else str(dut),
        attempt=pending.attempt,
        element=pending.element,
        question=question,
    )


def given_answers(config: pytest.Config) -> GivenAnswers:
    """Return the answers of options, files and the environment.

    Raises:
        pytest.UsageError: An option has another form, or a file cannot be read.
    """
    options, files = config.getoption("recipe_answer"), config.getoption("recipe_answers")
    try:
        answers = answers_of(options, files, Path(config.invocation_params.dir))
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None
    return GivenAnswers(answers, os.environ)


def check_answers(config: pytest.Config) -> None:
    """Check the answers given before the run against the collected recipes; learn their secrets.

    If a recipe has errors, nothing is checked, because it may have any step.

    Raises:
        pytest.UsageError: No collected step takes one of the answers, or a value is wrong.
    """
    from pytest_orchestrator.recipe.fields import type_hooks
    from pytest_orchestrator.recipe.fields.extensions import asks
    from pytest_orchestrator.recipe.problems import RecipeError

    state = state_of(config)
    try:
        recipes = [cell for path in [*state.recipes] for cell in state.cells(path)]
    except RecipeError:
        return
    given = given_answers(config)
    try:
        asking = [
            (recipe, step, type_hooks.call("questions", step, str(recipe.path)) or None)
            for recipe in recipes
            for step in (*recipe.steps, *recipe.final)
            if asks(step)
        ]
    except type_hooks.HookError as error:
        raise pytest.UsageError(str(error)) from None
    for recipe, step, questions in asking:
        for question in questions or ():  # without any, they are known only when the step runs
            for name, one in given.of(recipe, step.name, question).items():
                if name != BUTTON and question.fields[name].secret:
                    state.secrets.add(one.value)
    wrong = next(given.errors(asking, config.rootpath), None)
    if wrong is not None:
        raise pytest.UsageError(wrong)


_LOOK: Final = 0.1
"""Seconds after which the thread looks whether a question is still open."""


class QuestionChannel:
    """Socket at which a monitor reads and answers the open questions of a session.

    Args:
        queue: The queue of the questions.
        folder: The folder of the run.
        mask: Function that masks the secrets in a text.
    """

    def __init__(
        self, queue: QuestionQueue, folder: Path, mask: Callable[[str], str] = str
    ) -> None:
        self._queue, self._folder, self._mask = queue, folder, mask
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._server: Server | None = None
        self._sockets: tempfile.TemporaryDirectory[str] | None = None
        self._is_ending = InterruptibleEvent()

    def open(self) -> None:
        """Serve the open questions until none is left; do nothing if they are served.

        Raises:
            OSError: There is no place for the socket or for its address.
        """
        with self._lock:
            if self._server is not None:
                return
            self._is_ending.clear()
            self._sockets = private_folder()
            try:
                listener = listen_unix(Path(self._sockets.name, "questions"))
                # A connection carries one request, which may be an answer.
                limits = Limits(
                    first_line=channel.MAX_LINE,
                    unauthenticated=channel.MAX_LINE,
                    handshake=channel.TIMEOUT,
                    closing=0.5,
                )
                self._server = Server(listener=listener, limits=limits)
                self._server.admit("operator page", self._execute, self._folder.name)
                with replacing(self._folder / FILE, 0o600) as file:
                    file.write(address_text(self._server.address))
            except OSError:
                self._close()
                raise
            self._server.start()
            self._thread = threading.Thread(
                target=self._close_after_questions, name="orchestrator-channel", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """End the service and wait for its threads."""
        self._is_ending.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def _close_after_questions(self) -> None:
        while True:
            self._is_ending.wait(_LOOK)
            with self._lock:
                if self._is_ending.is_set() or not self._queue.open:
                    self._close()
                    return

    def _close(self) -> None:
        """Remove the socket, its folder and the address file."""
        if self._server is not None:
            self._server.close()
        if self._sockets is not None:
            self._sockets.cleanup()
        (self._folder / FILE).unlink(missing_ok=True)
        self._server = self._sockets = None

    def _execute(self, request: protocol.Request) -> protocol.Reply:
        try:
            reply = self._reply(msgspec.convert(request.value, Request))
        except msgspec.ValidationError as error:
            reply = Reply(refusal=f"no request: {error}")
        return protocol.Reply(ok=True, value=reply, id=request.id)

    def _reply(self, request: Request) -> Reply:
        if isinstance(request, Look):
            return Reply(questions=tuple(map(self._shown, self._queue.open)))
        try:
            self._queue.reply(request.nonce, request.lines, request.button, request.who)
        except LookupError as error:
            return Reply(refusal=str(error.args[0]))
        except WrongAnswer as error:
            return Reply(refusal=str(error), problems=error.problems)
        return Reply()

    def _shown(self, question: OpenQuestion) -> ShownQuestion:
        left = None if question.deadline is None else question.deadline - time.monotonic()
        asked = question.asked
        fields = {name: _shown_field(field) for name, field in asked.question.fields.items()}
        message = self._mask(asked.question.message)
        shown = msgspec.structs.replace(asked.question, fields=fields, message=message)
        return ShownQuestion(
            nonce=question.nonce,
            asked=msgspec.structs.replace(asked, question=shown),
            seconds_left=None if left is None else max(0.0, left),
        )


def _shown_field(field: InputField) -> InputField:
    """Return a field without its default if that is secret."""
    if not field.secret or field.default is UNSET or field.default is None:
        return field
    return msgspec.structs.replace(field, default="***")
