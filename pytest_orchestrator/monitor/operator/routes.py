"""URLs of the operator page: the page, its changes, its picture, and the answer to a question."""

from typing import TYPE_CHECKING, Final

from pytest_orchestrator.monitor.live import events
from pytest_orchestrator.monitor.operator import page
from pytest_orchestrator.monitor.operator.questions import Questions, picture, public_key
from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.runs.index.estimates import StepEstimates
from pytest_orchestrator.runs.operator.channel import Answering, Reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask, Response
    from werkzeug.wrappers import Response as Redirect

_MAX_ANSWER: Final = 2 << 20
"""Highest number of bytes of the answer to a question."""
_PICTURE_POLICY: Final = "sandbox; default-src 'none'; style-src 'unsafe-inline'"


def add_operator_page(server: "Flask", run_cache: RunCache) -> None:
    """Add the operator page to the web application of the monitor.

    Args:
        server: The web application.
        run_cache: The runs.
    """
    from flask import Response, abort

    estimates, questions = StepEstimates(), Questions(run_cache)

    def shown(sent: tuple[Answering, Reply] | None = None) -> "Response":
        html = page.page(run_cache, estimates, questions, sent)
        # Without the referrer, a browser would send no origin with the form.
        return Response(html, mimetype="text/html", headers={"Referrer-Policy": "same-origin"})

    @server.get(page.URL)
    def show_operator_page() -> "Response":
        questions.renew_lease()
        return shown()

    @server.get(f"{page.URL}/events")
    def follow_operator_page() -> "Response":
        def version() -> tuple[str, bool]:
            questions.renew_lease()
            return page.version(run_cache, questions), False

        return events(version)

    @server.get(f"{page.URL}/picture/<key>")
    def show_picture(key: str) -> "Response":
        def found(view: RunView) -> tuple[bytes, str] | None:
            asked = [one for one in questions.of(view) if public_key(one) == key]
            return picture(view, asked[0]) if asked else None

        run = questions.shown_run()
        image = run_cache.read(run, found) if run else None
        if image is None:
            abort(404)
        policy = {
            "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'"
        }
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

    @server.get(page.ANSWER)
    def return_to_page() -> "Redirect":
        return redirect(page.URL)

    @server.post(page.ANSWER)
    def take_answer() -> "Response | Redirect | tuple[Response, int]":
        form = request.form
        lines = {
            name.removeprefix(page.PREFIX): text
            for name, text in form.items()
            if name.startswith(page.PREFIX)
        }
        answer = Answering(
            nonce=form.get("nonce", ""),
            lines=lines,
            button=form.get("button", ""),
            who=form.get("who", ""),
        )
        reply = questions.answer(run_cache.folder(form.get("run", "")), answer)
        status = 200 if not reply.refusal else 422 if reply.problems else 409
        if request.accept_mimetypes.best == "application/json":
            return jsonify(refusal=reply.refusal, problems=reply.problems), status
        return redirect(page.URL, 303) if status == 200 else (shown((answer, reply)), status)
