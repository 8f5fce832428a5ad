"""Operator page: the newest run that asks, else the newest, in large type, and its question."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from msgspec import Struct

from pytest_orchestrator.core.questions import BUTTON
from pytest_orchestrator.core.typed_fields import InputField, checks_of, hint_of
from pytest_orchestrator.monitor.operator.questions import Questions, public_key
from pytest_orchestrator.monitor.pages.head import Head, head, report_url
from pytest_orchestrator.monitor.pages.run import usual_seconds
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.reports.head.meta import LABELS, labelled_meta
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.index.estimates import StepEstimates
from pytest_orchestrator.runs.operator.channel import Answering, Reply, ShownQuestion
from pytest_orchestrator.runs.record import ACTIVE

URL: Final = "/operator"
ANSWER: Final = "/operator/answer"
PREFIX: Final = "f."
"""Prefix of the names of a question's fields in the form."""

_MOST_CHOICES: Final = 6
"""Highest number of choices that are shown beside each other."""


class FormField(Struct, frozen=True):
    """Field of the form.

    Attributes:
        name: Its name.
        control: ``text``, ``password``, ``lines``, ``choice`` or ``select``.
        hint: Text beside it.
        choices: The texts of its choices.
        checks: Sentences of the rules that the page checks, by check.
        limits: The field's ``type``, ``min``, ``max``, ``unit`` and ``pattern``, if it has them.
        typed: The line that was typed before.
        problem: The rule that this line violates; empty if none.
    """

    name: str
    control: str
    hint: str
    choices: tuple[str, ...]
    checks: dict[str, str]
    limits: dict[str, Any]
    typed: str
    problem: str


class Form(Struct, frozen=True):
    """Form of an open question.

    Attributes:
        key: Public name of the question.
        nonce: Its nonce.
        step: Name of the step, with its element.
        about: Recipe, DUT, cell and attempt, by label.
        message: The message as HTML.
        picture: URL of the picture; empty without one.
        fields: The fields.
        buttons: The buttons.
        more: Number of further questions.
        seconds_left: Seconds until the step times out; None if it never does.
        who: The name that was typed before.
        problems: Rules that the name or the button violates.
        refusal: Reason why the last answer was refused; empty if none was.
    """

    key: str
    nonce: str
    step: str
    about: dict[str, str]
    message: str
    picture: str
    fields: list[FormField]
    buttons: tuple[str, ...]
    more: int
    seconds_left: float | None
    who: str
    problems: dict[str, str]
    refusal: str


class OperatorPage(Struct, frozen=True):
    """Values of the operator page.

    Attributes:
        title: Title of the window.
        look: Style of the verdict, for the icon.
        version: Version of the shown state.
        events: URL of the stream of changes.
        run: Id of the run; empty if there is none.
        head: Its head; None if there is no run.
        dut: The device under test; empty if none is known.
        form: The form of the open question; None if no question is open.
        asks: The message of a question that this page cannot answer; empty without one.
        answered: The last answer as a sentence; empty without one.
    """

    title: str
    look: str
    version: str
    events: str
    run: str = ""
    head: Head | None = None
    dut: str = ""
    form: Form | None = None
    asks: str = ""
    answered: str = ""


def page(
    run_cache: RunCache,
    estimates: StepEstimates,
    questions: Questions,
    sent: tuple[Answering, Reply] | None = None,
) -> str:
    """Return the operator page as HTML.

    Args:
        run_cache: The runs.
        estimates: Estimated durations of steps.
        questions: The open questions.
        sent: An answer that was refused, and the reply to it.
    """
    run = questions.shown_run()
    if not run:
        empty = OperatorPage("Operator", "waiting", ".0", f"{URL}/events")
        return render("operator.html", page=empty)

    def draw(view: RunView) -> str:
        top = head(view, usual_seconds(view, estimates))
        return render("operator.html", page=_page(view, top, questions.of(view), sent))

    return run_cache.read(run, draw)


def version(run_cache: RunCache, questions: Questions) -> str:
    """Return the version of the operator page."""
    run = questions.shown_run()
    return run_cache.read(run, lambda view: _version(view, questions.of(view))) if run else ".0"


def _version(view: RunView, open_questions: tuple[ShownQuestion, ...]) -> str:
    keys = "-".join(map(public_key, open_questions))
    ended = f"{view.record.state}.{len(view.problem)}.{report_url(view) and 1}"
    return f"{view.folder.name}.{view.version}.{ended}.{keys}"


def _page(
    view: RunView,
    top: Head,
    open_questions: tuple[ShownQuestion, ...],
    sent: tuple[Answering, Reply] | None,
) -> OperatorPage:
    first = open_questions[0] if open_questions else None
    form = None if first is None else _form(first, len(open_questions) - 1, sent)
    asking = [step.asked for step in view.record.steps if step.asked and step.state in ACTIVE]
    dut = first.asked.dut if first else ""
    dut = cut(dut or labelled_meta(view.record.recipes.values()).get(LABELS["dut"], ""), 120)
    sign, word = ("?", "asks") if form else (top.sign, top.verdict)
    return OperatorPage(
        title=f"{sign} {word}: {dut or top.title or view.folder.name}",
        look=top.look,
        version=_version(view, open_questions),
        events=f"{URL}/events",
        run=view.folder.name,
        head=top,
        dut=dut,
        form=form,
        asks="" if form or not asking else cut(asking[0].message, 2000),
        answered=_last_answer(view),
    )


def _last_answer(view: RunView) -> str:
    """Return the last answer of an operator or at the terminal, as a sentence."""
    prompts = [step for step in view.record.steps if step.about.get("type") == "prompt"]
    answers = [
        (one.when, step.name, one)
        for step in prompts
        if step.ended and step.block
        for one in step.block.answers or ()
        if one.where != "answers"
    ]
    if not answers:
        return ""
    when, name, one = max(answers, key=lambda each: each[0])
    where = "at the terminal" if one.where == "terminal" else "on the operator page"
    clock = f"{datetime.fromisoformat(when).astimezone():%H:%M:%S}"
    return cut(f"{name}: {one.button}, answered by {one.who} {where} at {clock}", 300)


def _form(question: ShownQuestion, more: int, sent: tuple[Answering, Reply] | None) -> Form:
    asked, key = question.asked, public_key(question)
    content = asked.question
    answer, reply = sent or (Answering(nonce=""), Reply())
    is_again = answer.nonce == question.nonce
    problems = reply.problems if is_again else {}
    recipe = asked.recipe.removesuffix(f"[{asked.cell}]") if asked.cell else asked.recipe
    about = {"Recipe": recipe, "Cell": asked.cell}
    if asked.attempt > 1:
        about["Attempt"] = str(asked.attempt)
    if asked.element is not None:
        about["Element"] = str(asked.element + 1)
    return Form(
        key=key,
        nonce=question.nonce,
        step=asked.step,
        about={name: cut(text, 200) for name, text in about.items() if text},
        message=_markdown(content.message),
        picture=f"{URL}/picture/{key}" if content.image else "",
        fields=[
            _form_field(name, field, answer.lines if is_again else {}, problems.get(name, ""))
            for name, field in content.fields.items()
        ],
        buttons=content.buttons,
        more=more,
        seconds_left=question.seconds_left,
        who=answer.who if is_again else "",
        problems={name: problems[name] for name in (BUTTON, "who") if name in problems},
        refusal=reply.refusal if sent and not problems else "",
    )


def _form_field(name: str, field: InputField, typed: Mapping[str, str], problem: str) -> FormField:
    choices = _choices(field)
    if choices:
        control = "choice" if len(choices) <= _MOST_CHOICES else "select"
    elif field.secret:
        control = "password"
    else:
        control = "lines" if field.type == "json" else "text"
    keys = ("type", "min", "max", "unit", "pattern")
    limits = {key: getattr(field, key) for key in keys if getattr(field, key) is not None}
    return FormField(
        name=name,
        control=control,
        hint=hint_of(field),
        choices=choices,
        checks=checks_of(field),
        limits=limits,
        typed="" if field.secret else typed.get(name, ""),
        problem=problem,
    )


def _choices(field: InputField) -> tuple[str, ...]:
    if field.type == "boolean":
        return ("true", "false")
    return tuple(one if isinstance(one, str) else f"{one}" for one in field.choices or ())


def _markdown(text: str) -> str:
    """Return the HTML of a message; HTML in it is shown as text, and pictures are left out."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    return str(parser.disable("image").render(text))
