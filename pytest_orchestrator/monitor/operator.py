"""Operator page: the newest run that asks, else the newest, in large type, and its question."""

import hashlib
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct
from msgspec.structs import replace

from pytest_orchestrator.core.files import content
from pytest_orchestrator.core.questions import BUTTON
from pytest_orchestrator.monitor.form_fields import FormField, form_field, lines_in
from pytest_orchestrator.monitor.live import events
from pytest_orchestrator.monitor.pages.head import Head, head, report_url
from pytest_orchestrator.monitor.pages.run import usual_seconds
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.monitor.station.page import StationView, station_view, version_of
from pytest_orchestrator.monitor.station.station import Station
from pytest_orchestrator.reports.head.meta import LABELS, labelled_meta
from pytest_orchestrator.reports.text import cut
from pytest_orchestrator.runs.folder import RunFile, is_run
from pytest_orchestrator.runs.index.estimates import StepEstimates
from pytest_orchestrator.runs.journal.writer import NAME, is_being_written
from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.channel import (
    FILE,
    Answering,
    ChannelClosed,
    Look,
    Reply,
    ShownQuestion,
    request,
)
from pytest_orchestrator.runs.record import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response
    from werkzeug.wrappers import Response as Redirect

URL: Final = "/operator"
ANSWER: Final = "/operator/answer"
_MAX_ANSWER: Final = 2 << 20
"""Highest number of bytes of the answer to a question."""
_PICTURE_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'"
_KEPT: Final = 0.4
"""Seconds for which the questions of a run are kept, so that many pages ask a session no more."""

_RENEWED: Final = 1.0
_MAX_PICTURE: Final = 16 << 20
_PICTURES: Final = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}


class Questions:
    """Open questions of the runs of a folder.

    Args:
        runs: The runs.
        station: The station of which the page shows only the runs; None in a monitor.
    """

    def __init__(self, runs: RunCache, station: Station | None = None) -> None:
        self._runs, self._station = runs, station
        self._lock = threading.Lock()
        self._looked_at, self._asking = 0.0, ""
        self._renewed = 0.0
        self._read_at, self._of, self._open = 0.0, "", ()

    _open: tuple[ShownQuestion, ...]

    def renew_lease(self) -> None:
        """Note that an operator page is connected; sessions then wait for its answers."""
        with self._lock:
            if time.monotonic() - self._renewed < _RENEWED:
                return
            self._renewed = time.monotonic()
        page_lease.renew(self._runs.base)

    def shown_run(self) -> str:
        """Return the id of the run that the page shows: the newest that asks, else the newest.

        A session without a terminal waits as long as a page is connected, so a question must not
        disappear because another session has started.

        Returns:
            The id; empty if there is no run. That of a station is its own, once it has begun.
        """
        if self._station is not None:
            run = self._station.now.run
            return run if run and (self._runs.base / run / NAME).is_file() else ""
        with self._lock:
            if time.monotonic() - self._looked_at > _KEPT:
                self._asking = max(self._asking_runs(), default="")
                self._looked_at = time.monotonic()
            return self._asking or self._runs.newest()

    def _asking_runs(self) -> Iterator[str]:
        for file in self._runs.base.glob(f"*/{FILE}"):
            folder = file.parent
            if is_run(folder) and not folder.is_symlink() and is_being_written(folder / NAME):
                yield folder.name

    def of(self, view: RunView) -> tuple[ShownQuestion, ...]:
        """Return the open questions of a run; none if its session cannot be reached.

        Args:
            view: The run.
        """
        if view.record.state != "running" or not any(
            step.state == "asks" for step in view.record.steps
        ):
            return ()
        with self._lock:
            run = view.folder.name
            if run != self._of or time.monotonic() - self._read_at > _KEPT:
                self._of, self._open = run, _read(view.folder)
                self._read_at = time.monotonic()
            return self._open

    def answer(self, folder: Path, answer: Answering) -> Reply:
        """Send an answer to the session of a run, and return its reply.

        Args:
            folder: The folder of the run.
            answer: The answer.
        """
        try:
            return request(folder, answer)
        except ChannelClosed as error:
            return Reply(refusal=f"the question is not open any more: {error}")
        finally:
            self._read_at = 0.0


def _read(folder: Path) -> tuple[ShownQuestion, ...]:
    try:
        return request(folder, Look()).questions
    except ChannelClosed:
        return ()


def public_key(question: ShownQuestion) -> str:
    """Return a name of a question for URLs and elements, which does not give its nonce away."""
    return hashlib.sha256(question.nonce.encode()).hexdigest()[:16]


def picture(view: RunView, question: ShownQuestion) -> tuple[bytes, str] | None:
    """Return the picture of a question with its media type.

    Args:
        view: The run.
        question: An open question of it.

    Returns:
        None if the question has no picture, or its path leads out of the rootdir, or the file is
        no picture, or is too large.
    """
    image, started = question.asked.question.image, view.record.started
    kind = _PICTURES.get(Path(image or "").suffix.lower())
    path = RunFile(image).inside(Path(started.root)) if started and kind else None
    try:
        return None if path is None or kind is None else (content(path, _MAX_PICTURE), kind)
    except OSError:
        return None


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
        station: The station; None in a monitor.
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
    station: StationView | None = None


def show_page(
    run_cache: RunCache,
    estimates: StepEstimates,
    questions: Questions,
    sent: tuple[Answering, Reply] | None = None,
    station: Station | None = None,
) -> str:
    """Return the operator page as HTML.

    Args:
        run_cache: The runs.
        estimates: Estimated durations of steps.
        questions: The open questions.
        sent: An answer that was refused, and the reply to it.
        station: The station; None in a monitor.
    """
    moment = station.now if station else None
    run = questions.shown_run()
    if not run:
        view = station_view(station, moment, None, sent) if station and moment else None
        name, version = station.name if station else "Operator", version_of(moment)
        empty = OperatorPage(name, "waiting", version, f"{URL}/events", station=view)
        return render("operator.html", page=empty)

    def draw(view: RunView) -> str:
        top = head(view, usual_seconds(view, estimates))
        page = _page(view, top, questions.of(view), sent)
        if station and moment:
            shown = station_view(station, moment, view.record, sent)
            version = f"{version_of(moment)}{page.version}"
            form = page.form if shown.operates else None
            page = replace(page, station=shown, version=version, form=form)
        return render("operator.html", page=page)

    return run_cache.read(run, draw)


def version_of_page(
    run_cache: RunCache, questions: Questions, station: Station | None = None
) -> str:
    """Return the version of the operator page."""
    moment = station.now if station else None
    run = questions.shown_run()
    if not run:
        return version_of(moment)
    own = version_of(moment) if moment else ""
    return own + run_cache.read(run, lambda view: _version(view, questions.of(view)))


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
        message=_markdown(asked.question.message),
        picture=f"{URL}/picture/{key}" if asked.question.image else "",
        fields=[
            form_field(name, field, answer.lines if is_again else {}, problems.get(name, ""))
            for name, field in asked.question.fields.items()
        ],
        buttons=asked.question.buttons,
        more=more,
        seconds_left=question.seconds_left,
        who=answer.who if is_again else "",
        problems={name: problems[name] for name in (BUTTON, "who") if name in problems},
        refusal=reply.refusal if sent and not problems else "",
    )


def _markdown(text: str) -> str:
    """Return the HTML of a message; HTML in it is shown as text, and pictures are left out."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table")
    return str(parser.disable("image").render(text))


def add_operator_page(server: "Flask", run_cache: RunCache, station: Station | None = None) -> None:
    """Add the operator page to the web application of the monitor.

    Args:
        server: The web application.
        run_cache: The runs.
        station: The station that the page operates; None in a monitor.
    """
    from flask import Response, abort

    estimates, questions = StepEstimates(), Questions(run_cache, station)

    def shown(sent: tuple[Answering, Reply] | None = None) -> "Response":
        html = show_page(run_cache, estimates, questions, sent, station)
        # Without the referrer, a browser would send no origin with the form.
        return Response(html, mimetype="text/html", headers={"Referrer-Policy": "same-origin"})

    @server.get(URL)
    def show_operator_page() -> "Response":
        questions.renew_lease()
        return shown()

    @server.get(f"{URL}/events")
    def follow_operator_page() -> "Response":
        def version() -> tuple[str, bool]:
            questions.renew_lease()
            return version_of_page(run_cache, questions, station), False

        return events(version)

    @server.get(f"{URL}/picture/<key>")
    def show_picture(key: str) -> "Response":
        def found(view: RunView) -> tuple[bytes, str] | None:
            asked = [one for one in questions.of(view) if public_key(one) == key]
            return picture(view, asked[0]) if asked else None

        run = questions.shown_run()
        image = run_cache.read(run, found) if run else None
        if image is None:
            abort(404)
        policy = {"Content-Security-Policy": _PICTURE_POLICY}
        return Response(image[0], mimetype=image[1], headers=policy)

    _add_answer(server, run_cache, questions, shown)


def _add_answer(
    server: "Flask",
    run_cache: RunCache,
    questions: Questions,
    shown: "Callable[[tuple[Answering, Reply]], Response]",
) -> None:
    """Add the URL that takes the answer to a question, from the script of the page or its form."""
    from flask import jsonify, redirect, request

    server.config["MAX_CONTENT_LENGTH"] = server.config["MAX_FORM_MEMORY_SIZE"] = _MAX_ANSWER

    @server.get(ANSWER)
    def return_to_page() -> "Redirect":
        return redirect(URL)

    @server.post(ANSWER)
    def take_answer() -> "Response | Redirect | tuple[Response, int]":
        form = request.form
        answer = Answering(
            nonce=form.get("nonce", ""),
            lines=lines_in(form),
            button=form.get("button", ""),
            who=form.get("who", ""),
        )
        reply = questions.answer(run_cache.folder(form.get("run", "")), answer)
        status = 200 if not reply.refusal else 422 if reply.problems else 409
        if request.accept_mimetypes.best == "application/json":
            return jsonify(refusal=reply.refusal, problems=reply.problems), status
        return redirect(URL, 303) if status == 200 else (shown((answer, reply)), status)
