"""The operator page without a browser: its form, answers, and everything that is refused."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from pytest_orchestrator.monitor.app import application
from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.channel import FILE
from tests.monitor.conftest import OLDER, RUN
from tests.monitor.live_monitor import TOKEN
from tests.monitor.operator.asking_session import LIVE, AskingSession
from tests.runs.built import Built

ANSWER = "/operator/answer"
LATER = "20261126T090000Z-b6b6"
FIELDS = {
    "serial": {"pattern": r"SN\d{6}", "description": "As printed."},
    "volts": {"type": "number", "min": 0, "max": 30, "unit": "V"},
    "colour": {"choices": ["red", "green"], "default": "green"},
    "pin": {"secret": True, "default": "hunter2"},
}
OWN = {"Origin": "http://localhost"}


@pytest.fixture
def session(bench: Path, tmp_path: Path) -> Iterator[AskingSession]:
    """Return a session that asks; its rootdir has a picture, and a secret file beside it."""
    root = tmp_path / "project"
    root.mkdir()
    (root / "board.png").write_bytes(b"\x89PNG of the board")
    (tmp_path / "outside.png").write_bytes(b"\x89PNG outside")
    made = AskingSession(bench, root, fields=FIELDS, buttons=["pass", "fail"], image="board.png")
    yield made
    made.close()


def form_of(client: FlaskClient) -> dict[str, str]:
    """Return the hidden fields of the form on the operator page."""
    text = client.get("/operator").text
    return dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))


def valid(client: FlaskClient, **changed: Any) -> dict[str, str]:
    """Return a valid answer but for the named parts; None removes a part."""
    given: dict[str, Any] = {
        "f.serial": "SN000123",
        "f.volts": "5.02 V",
        "button": "pass",
        "who": "Ann",
    }
    given |= form_of(client) | {name.replace("_", "."): text for name, text in changed.items()}
    return {name: text for name, text in given.items() if text is not None}


def test_the_page_shows_the_question_with_its_step_and_form(
    client: FlaskClient, session: AskingSession
) -> None:
    text = client.get("/operator").text

    for shown in (
        "<title>? asks: PSU-7</title>",
        "inspect asks",
        "Is the <strong>LED</strong> green?",
        "As printed.; text that matches SN\\d{6}".replace(".;", ";"),
        "a number, 0 to 30 V",
        "red or green (empty: green)",
        "text (empty: ***)",
        'value="fail"',
    ):
        assert shown in text, shown
    assert "hunter2" not in text
    picture = re.search(r'src="(/operator/picture/\w+)"', text)
    assert picture is not None
    assert client.get(picture[1]).data == b"\x89PNG of the board"
    assert session.asked.nonce not in picture[1]
    assert page_lease.has_page(session.built.folder.parent)


def test_an_answer_with_token_origin_and_nonce_is_taken(
    client: FlaskClient, session: AskingSession
) -> None:
    end = session.ends_after_the_answer()
    reply = client.post(ANSWER, data=valid(client), headers=OWN)
    end.join()

    assert (reply.status_code, reply.location) == (303, "/operator")
    answer = session.answer
    assert answer is not None
    assert (answer.who, answer.where, answer.button) == ("Ann", "page", "pass")
    assert answer.values == {
        "serial": "SN000123",
        "volts": 5.02,
        "colour": "green",
        "pin": "hunter2",
    }
    text = client.get("/operator").text
    assert 'data-word="passed"' in text
    assert "Waiting for the next run" in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:8051"}, 403),
        (OWN | {"Sec-Fetch-Site": "cross-site"}, 403),
        (OWN | {"Sec-Fetch-Site": "none"}, 403),
        (OWN | {"Host": "evil.example"}, 421),
        (OWN | {"Content-Type": "text/plain"}, 415),
        (OWN | {"Content-Type": "application/json"}, 415),
        (OWN | {"Content-Type": "multipart/form-data; boundary=x"}, 415),
    ],
)
def test_an_answer_from_elsewhere_or_of_another_form_is_refused(
    headers: dict[str, str], status: int, client: FlaskClient, session: AskingSession
) -> None:
    given = valid(client)
    kind = {"content_type": headers.get("Content-Type")} if "Content-Type" in headers else {}
    body = "&".join(f"{name}={text}" for name, text in given.items()) if kind else given
    reply = client.post(ANSWER, data=body, headers=headers, **kind)

    assert reply.status_code == status
    assert session.answer is None
    assert "PSU-7" not in reply.text


def test_an_answer_without_the_token_is_refused(
    bench: Path, client: FlaskClient, session: AskingSession
) -> None:
    given = valid(client)
    anonymous = application(bench, TOKEN, {"localhost"}).test_client()
    for query in ("", "?token=wrong", f"?token={TOKEN}"):  # a link gives no right to write
        reply = anonymous.post(ANSWER + query, data=given, headers=OWN)
        assert reply.status_code == 403
    assert session.answer is None


def test_a_second_answer_and_wrong_nonces_are_refused(
    client: FlaskClient, session: AskingSession
) -> None:
    given = valid(client)
    for nonce in ("", "x", given["nonce"][:-1], given["nonce"].swapcase(), "é"):
        reply = client.post(ANSWER, data=given | {"nonce": nonce}, headers=OWN)
        assert reply.status_code == 409, nonce
    assert client.post(ANSWER, data=given, headers=OWN).status_code == 303
    session.queue.forget(session.asked)
    later = session.ask()

    again = client.post(ANSWER, data=given | {"who": "Bob"}, headers=OWN)

    assert again.status_code == 409
    assert "the question was already answered by Ann on the operator page" in again.text
    assert not later.is_over


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        ({"f_volts": "high"}, {"volts": "should be a number"}),
        ({"f_volts": "31"}, {"volts": "should be 0 to 30 V"}),
        ({"f_volts": "[5]"}, {"volts": "should be a number"}),
        ({"f_serial": None}, {"serial": "should not be empty"}),
        ({"f_serial": "<b>12"}, {"serial": r"should match SN\d{6}"}),
        ({"f_colour": "blue"}, {"colour": "should be red or green"}),
        ({"f_other": "1"}, {"other": "is no field of the question"}),
        ({"button": "continue"}, {"button": "should be pass or fail"}),
        ({"button": None}, {"button": "should be pass or fail"}),
        ({"who": " "}, {"who": "should not be empty"}),
        ({"who": "x" * 201}, {"who": "should be a name of at most 200 characters"}),
    ],
)
def test_an_answer_of_a_wrong_type_is_refused_with_its_rule(
    changed: dict[str, Any],
    problems: dict[str, str],
    client: FlaskClient,
    session: AskingSession,
) -> None:
    given = valid(client, **changed)
    as_json = client.post(ANSWER, data=given, headers=OWN | {"Accept": "application/json"})
    assert (as_json.status_code, as_json.get_json()["problems"]) == (422, problems)

    page = client.post(ANSWER, data=given | {"f.pin": "geheim"}, headers=OWN)
    assert page.status_code == 422
    assert "geheim" not in page.text
    assert "<b>12" not in page.text
    assert session.answer is None


@pytest.mark.parametrize("run", ["", "..", "../..", "/etc", f"{LIVE}/..", "latest", "x\0"])
def test_an_answer_to_a_path_that_is_no_run_is_refused(
    run: str, client: FlaskClient, session: AskingSession
) -> None:
    reply = client.post(ANSWER, data=valid(client, run=run), headers=OWN)
    assert reply.status_code == 404
    assert session.answer is None


@pytest.mark.parametrize("run", [OLDER, RUN])
def test_an_answer_to_a_run_that_has_ended_is_refused(
    run: str, client: FlaskClient, session: AskingSession
) -> None:
    reply = client.post(ANSWER, data=valid(client, run=run), headers=OWN)
    assert reply.status_code == 409
    assert session.answer is None


def test_an_answer_that_is_too_large_is_refused(
    client: FlaskClient, session: AskingSession
) -> None:
    reply = client.post(ANSWER, data=valid(client, f_serial="x" * 3_000_000), headers=OWN)
    assert reply.status_code == 413
    assert session.answer is None


@pytest.mark.parametrize("image", ["../outside.png", "/etc/hostname", "link.png", "board.txt"])
def test_a_picture_outside_of_the_rootdir_is_not_served(
    image: str, client: FlaskClient, session: AskingSession, tmp_path: Path
) -> None:
    (tmp_path / "project" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "project" / "board.txt").write_text("text")
    session.asked.refuse("over")
    session.queue.forget(session.asked)
    session.ask(image=image)
    found = re.search(r'src="(/operator/picture/\w+)"', client.get("/operator").text)

    assert found is not None
    assert client.get(found[1]).status_code == 404
    assert client.get("/operator/picture/..%2fboard.png").status_code == 404


def test_markdown_of_a_message_adds_no_markup_of_its_own(
    client: FlaskClient, session: AskingSession
) -> None:
    session.asked.refuse("over")
    session.queue.forget(session.asked)
    session.ask(message="<script>alert(1)</script> ![x](http://evil/x) [y](javascript:alert(1))")
    text = client.get("/operator").text

    assert "&lt;script&gt;alert(1)" in text
    assert "javascript:alert" not in text.replace("[y](javascript:alert(1))", "")
    assert 'src="http://evil' not in text


def test_the_page_of_a_session_that_was_killed_shows_no_form(
    client: FlaskClient, session: AskingSession
) -> None:
    given = valid(client)
    address = (session.built.folder / FILE).read_text()
    session.channel.close()
    session.built.journal.close()
    (session.built.folder / FILE).write_text(address)  # left over
    (session.built.folder / FILE).chmod(0o600)
    text = client.get("/operator").text

    assert 'data-word="interrupted"' in text
    assert "<form" not in text
    assert client.post(ANSWER, data=given, headers=OWN).status_code == 409


def test_a_question_of_a_session_that_cannot_be_reached_is_shown_without_a_form(
    client: FlaskClient, session: AskingSession
) -> None:
    (session.built.folder / FILE).chmod(0o644)
    text = client.get("/operator").text
    assert "Is the **LED** green?" in text
    assert "Answer at its terminal." in text
    assert "<form" not in text


@pytest.mark.usefixtures("session")
def test_the_page_of_a_run_that_asks_has_a_link_to_the_form(client: FlaskClient) -> None:
    link = '<a href="/operator">Answer on the operator page</a>'
    assert link in client.get(f"/run/{LIVE}").text
    assert link not in client.get(f"/run/{OLDER}").text


def test_a_question_stays_on_the_page_when_another_session_starts(
    client: FlaskClient, session: AskingSession
) -> None:
    base = session.built.folder.parent
    later = Built(base, LATER).begin("flash")
    (base / "latest").symlink_to(LATER)
    assert form_of(client)["run"] == LIVE
    picture = re.search(r'src="(/operator/picture/\w+)"', client.get("/operator").text)
    assert picture is not None
    assert client.get(picture[1]).data == b"\x89PNG of the board"

    session.channel.close()
    another = application(base, TOKEN, {"localhost"}).test_client()
    another.get(f"/?token={TOKEN}")
    assert f'href="/run/{LATER}"' in another.get("/operator").text
    later.cut()


def test_a_folder_without_runs_has_an_operator_page_that_waits(tmp_path: Path) -> None:
    client = application(tmp_path, TOKEN, {"localhost"}).test_client()
    client.get(f"/?token={TOKEN}")
    assert "No run yet" in client.get("/operator").text
    assert client.get("/operator/picture/x").status_code == 404
    assert client.get(ANSWER).location == "/operator"
