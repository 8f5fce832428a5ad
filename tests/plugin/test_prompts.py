"""Prompts in sessions: answers given before the run, a real terminal, and no person at all."""

import contextlib
import json
import re
import shlex
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import pytest

from pytest_orchestrator.runs.operator import page_lease
from pytest_orchestrator.runs.operator.channel import (
    Answering,
    ChannelClosed,
    Look,
    Reply,
    ShownQuestion,
    request,
)
from tests.plugin.conftest import Project
from tests.plugin.terminal_session import Screen

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "operator-steps.md"
PARTS = dict(re.findall(r"<!-- \w+: (\S+) -->\n```\w+\n(.*?)```\n", PAGE.read_text(), re.DOTALL))

_INSPECT = """
type: prompt, needs: [], message: 'Is the LED green?',
fields: {serial: {pattern: 'SN[0-9]+'}, volts: {type: number, max: 30, default: 5}},
buttons: [pass, fail]
""".replace("\n", " ")
_LOGIN = "type: prompt, needs: [], message: 'The pin', fields: {pin: {secret: true}}"
_MISSING = "there is no terminal to ask at and no operator page is connected; missing "


def _events(project: Project, name: str) -> list[dict[str, Any]]:
    """Return the events of a name in the journal of the last run."""
    journal = max(project.path.glob(".orchestrator/runs/*/journal.jsonl"))
    events = map(json.loads, journal.read_text().splitlines())
    return [event for event in events if event["event"] == name]


def test_answers_given_before_the_run_are_typed_and_recorded(project: Project) -> None:
    project.recipe(
        "x",
        {
            "inspect": f"{_INSPECT}, success: {{max_seconds: 60}}, "
            "outputs: {all: '${{ result }}', of: '${{ result.serial }}'}",
            "login": _LOGIN,
            "use": "type: shell, cmd: 'echo pin ${{ steps.login.result.pin }}', parse: text",
            "go": "type: prompt, needs: [], message: Go",
            "refused": _INSPECT,
        },
    )
    project.write(
        "answers.yaml",
        """
        inspect: {serial: SN1, volts: 3, button: pass}
        login: {pin: hunter2}
        recipes/x.yaml::go: {button: continue}
        refused: {serial: SN2, button: fail}
        """,
    )

    blocks = project.blocks("--recipe-answers=answers.yaml", "--recipe-answer=inspect.volts=4.5")

    states = {name: one["step"]["state"] for name, one in blocks.items()}
    assert states == {
        "inspect": "passed",
        "login": "passed",
        "use": "passed",
        "go": "passed",
        "refused": "failed",
    }
    writes = {one["key"]: one["new"] for one in blocks["inspect"]["context"]["writes"]}
    assert writes == {
        "all": {"status": "ok", "button": "pass", "serial": "SN1", "volts": 4.5},
        "of": "SN1",
    }
    assert blocks["refused"]["step"]["kind"] == "status"
    assert [one["button"] for one in blocks["refused"]["answers"]] == ["fail"]
    assert blocks["refused"]["step"]["reason"].endswith(" chose fail before the run")
    answered = {event["step"]: event for event in _events(project, "question_answered")}
    assert answered["inspect"]["values"] == {"serial": "SN1", "volts": 4.5}
    assert (answered["inspect"]["where"], answered["inspect"]["button"]) == ("answers", "pass")
    assert answered["inspect"]["who"]
    assert answered["inspect"]["when"].endswith("Z")
    assert answered["login"]["values"] == {"pin": "***"}
    assert _events(project, "question_asked") == []
    for path in project.path.glob(".orchestrator/**/*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path


_SCAN = (
    "type: prompt, message: Scan, needs: [], fields: {code: {label: Serial, dut: serial_number}}"
)


def test_a_scanned_serial_number_is_the_unit_in_history_and_later_reports(project: Project) -> None:
    project.recipe("x", {"scan": _SCAN, "go": ""}, head="test_meta: {dut: {type: P}}")
    blocks = project.blocks("--recipe-answer=scan.code=SN7")

    assert blocks["scan"]["answers"][0]["dut"] == {"serial_number": "SN7"}
    assert blocks["go"]["recipe"]["test_meta"] == {"dut": {"type": "P", "serial_number": "SN7"}}
    assert _events(project, "question_answered")[0]["dut"] == {"serial_number": "SN7"}
    kept = json.loads(next(project.path.glob(".orchestrator/history/*/*.json")).read_text())
    assert kept["recipes"][0]["test_meta"] == {"dut": {"type": "P", "serial_number": "SN7"}}


@pytest.mark.parametrize(
    ("root", "options", "cause"),
    [
        ("test_meta: {dut: SN8}", [], "test_meta"),
        ("test_meta: {dut: {sn: SN8}}", [], "test_meta"),
        ("inputs: {code: {}}", ["--recipe-var=code=SN8"], "the input 'code'"),
        ("inputs: {serial_number: {}}", ["--recipe-var=serial_number=SN8"], "the input"),
    ],
)
def test_another_unit_than_the_one_under_test_fails_the_step(
    project: Project, root: str, options: list[str], cause: str
) -> None:
    project.recipe("x", {"scan": _SCAN}, head=root)
    block = project.blocks("--recipe-answer=scan.code=SN7", *options)["scan"]

    assert block["step"]["state"] == "failed"
    wrong = "'Serial' is SN7, and the unit under test is SN8 by "
    assert f"{wrong}{cause}" in block["step"]["reason"]
    assert "dut" not in _events(project, "question_answered")[0]


def test_a_resumed_run_keeps_the_unit_that_a_restored_step_named(project: Project) -> None:
    stop = "type: shell, needs: [scan], cmd: 'test -e ok', parse: text"
    project.recipe("x", {"scan": _SCAN, "stop": stop})
    project.blocks("--recipe-answer=scan.code=SN7")
    (project.path / "ok").touch()
    blocks = project.blocks("--recipe-resume")

    assert blocks["scan"]["step"]["state"] == "restored"
    assert blocks["stop"]["recipe"]["test_meta"] == {"dut": {"serial_number": "SN7"}}


def test_each_element_and_cell_of_a_prompt_has_its_own_answer(project: Project) -> None:
    project.recipe(
        "x",
        {
            "look": "type: prompt, foreach: [a, b], message: '${{ item }}', "
            "fields: {n: {type: integer}}, outputs: {seen: '${{ result.n }}'}"
        },
        head="matrix: {gain: [1, 2]}\n",
    )
    options = ("look[0].n=1", "look[1].n=2", "look[gain:2][1].n=3")

    project.run(*(f"--recipe-answer={option}" for option in options))

    answered = _events(project, "question_answered")
    values = [(one["recipe"], one["element"], one["values"]["n"]) for one in answered]
    assert values == [
        ("recipes/x.yaml[gain:1]", 0, 1),
        ("recipes/x.yaml[gain:1]", 1, 2),
        ("recipes/x.yaml[gain:2]", 0, 1),
        ("recipes/x.yaml[gain:2]", 1, 3),
    ]
    for block in (one["block"] for one in _events(project, "step_finished")):
        assert [one["where"] for one in block["answers"]] == ["answers", "answers"]


def test_a_prompt_without_answer_fails_at_once_and_names_the_missing_answers(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.recipe(
        "x",
        {
            "inspect": _INSPECT,
            "login": _LOGIN,
            "inline": f"{_LOGIN}, isolation: inline",
            "again": f"{_INSPECT}, retry: {{attempts: 2, delay: 1ms}}",
        },
    )

    blocks = project.blocks("--recipe-answer=inspect.button=pass")

    reasons = {name: one["step"]["reason"] for name, one in blocks.items()}
    assert reasons == {
        "inspect": f"{_MISSING}answer: inspect.serial (--recipe-answer inspect.serial=VALUE, "
        "or --recipe-answers FILE)",
        "login": f"{_MISSING}answer: login.pin (--recipe-answers FILE)",
        "inline": f"{_MISSING}answer: inline.pin (--recipe-answers FILE)",
        "again": f"{_MISSING}answers: again.serial, again.button "
        "(--recipe-answer again.serial=VALUE, or --recipe-answers FILE)",
    }
    assert {one["step"]["kind"] for one in blocks.values()} == {"not_found"}
    assert [one["attempt"] for one in blocks["again"]["attempts"]] == [1]
    assert min(one["time"]["seconds"] for one in blocks.values()) < 0.1
    asked = [
        (event["step"], event.get("attempt", 1)) for event in _events(project, "question_asked")
    ]
    assert asked == [("inspect", 1), ("login", 1), ("inline", 1), ("again", 1), ("again", 2)]

    monkeypatch.setenv("CI", "true")
    assert project.reasons("-k", "inspect")["inspect"].startswith(
        "CI is set, so no person is asked"
    )


@pytest.mark.parametrize(
    ("option", "error"),
    [
        (
            "inspekt.serial=SN1",
            "no collected step that asks is 'inspekt' (did you mean 'inspect'?)",
        ),
        ("inspect.serail=1", "step 'inspect' asks no 'serail' (did you mean 'serial'?)"),
        ("inspect.serial=1", "'inspect.serial' should match SN[0-9]+"),
        ("inspect", "'inspect' is no [recipe.yaml::]STEP.FIELD=VALUE"),
        (
            "login.pin=hunter2",
            (
                "'login.pin' is secret, and other users see the arguments of a program; give it by "
                "--recipe-answers or in ORCHESTRATOR_ANSWER_LOGIN_PIN"
            ),
        ),
    ],
)
def test_an_answer_that_no_prompt_takes_is_a_usage_error(
    project: Project, option: str, error: str
) -> None:
    project.recipe("x", {"inspect": _INSPECT, "login": _LOGIN})
    result = project.run(f"--recipe-answer={option}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: --recipe-answer: {error}".replace("[", "[[]")])


def test_the_rerun_command_of_a_failure_repeats_the_answers_of_its_recipe(
    project: Project,
) -> None:
    failing = "type: shell, parse: text, needs: [inspect], cmd: exit 3"
    project.recipe("x", {"inspect": _INSPECT, "use": failing})
    project.recipe("y", {"look": _INSPECT, "end": failing.replace("inspect", "look")})
    project.write("more.yaml", "look: {serial: SN2, button: pass}\n")
    project.write("secret.yaml", "inspect: {button: pass}\n")
    given = [
        "--recipe-answer=inspect.serial=SN1",
        "--recipe-answer=inspect.volts=4.5",
        "--recipe-answers=secret.yaml",
        "--recipe-answers=more.yaml",
    ]
    lines = [one for one in project.run(*given).outlines if one.startswith("rerun")]

    assert lines == [
        (
            "rerun      pytest --recipe-answers=secret.yaml --recipe-answer=inspect.serial=SN1 "
            "--recipe-answer=inspect.volts=4.5 recipes/x.yaml::use"
        ),
        "rerun      pytest --recipe-answers=more.yaml recipes/y.yaml::end",
    ]
    again = project.run(*shlex.split(lines[0])[2:])
    assert again.parseoutcomes()["failed"] == 1


def test_resume_restores_an_answer_and_asks_a_failed_prompt_again(project: Project) -> None:
    project.recipe(
        "x",
        {
            "inspect": f"{_INSPECT}, outputs: {{serial: '${{{{ result.serial }}}}'}}",
            "login": _LOGIN,
            "use": "type: shell, needs: [inspect], parse: text, "
            "cmd: 'echo ${{ steps.inspect.result.volts }}'",
        },
    )
    given = ("--recipe-answer=inspect.serial=SN1", "--recipe-answer=inspect.button=pass")
    assert project.blocks(*given)["login"]["step"]["state"] == "failed"

    resumed = project.blocks("--recipe-resume")
    assert resumed["inspect"]["step"]["state"] == "restored"
    assert _MISSING in resumed["login"]["step"]["reason"]


@pytest.mark.counted
@pytest.mark.parametrize("jobs", [(), ("--recipe-jobs=2",), ("-n2",)])
def test_prompts_of_parallel_steps_are_asked_by_the_session(
    project: Project, jobs: tuple[str, ...]
) -> None:
    project.recipe("x", {"a": _LOGIN, "b": _LOGIN, "c": "needs: []"})
    project.recipe("y", {"d": _LOGIN})
    reasons = project.reasons(*jobs)
    assert {name: _MISSING in reason for name, reason in reasons.items()} == {
        "a": True,
        "b": True,
        "d": True,
    }


def test_a_person_answers_at_a_terminal(project: Project, screen: Callable[..., Screen]) -> None:
    head = "test_meta: {dut: PSU-7}\n"
    project.recipe(
        "x",
        {
            "inspect": f"{_INSPECT}, success: {{max_seconds: 0.6}}",
            "login": _LOGIN,
            "use": "type: shell, cmd: 'echo ${{ steps.login.result.pin }}', parse: text",
        },
        head=head,
    )
    shown = screen("-v", "-rA")
    shown.reads("orchestrator: inspect asks (recipes/x.yaml, DUT PSU-7)")
    shown.reads("  Is the LED green?")
    shown.reads("serial> ")
    time.sleep(0.5)
    shown.types("12\n")
    shown.reads("'serial' should match SN[0-9]+")
    shown.reads("serial> ")
    shown.types("SN12\n")
    shown.reads("volts> ")
    shown.types("\n")
    shown.reads("pass or fail> ")
    shown.types("p\n")
    shown.reads("pin> ")
    shown.types("hunter2\n")

    assert shown.status() == 0, shown.seen
    assert "hunter2" not in shown.seen
    assert "3 passed" in shown.seen
    answered = _events(project, "question_answered")
    assert [(one["where"], one["values"]) for one in answered] == [
        ("terminal", {"serial": "SN12", "volts": 5}),
        ("terminal", {"pin": "***"}),
    ]
    # The wait for the person is no part of `max_seconds`.
    block = _events(project, "step_finished")[0]["block"]
    start, stop = (
        datetime.fromisoformat(block["time"][name]).timestamp() for name in ("start", "stop")
    )
    assert block["criteria"][0]["measured"] <= stop - start - 0.5


@pytest.mark.parametrize(
    "args", [("--recipe-jobs=2",), ("-s", "--pdb"), ("-n2", "-p", "no:randomly")]
)
def test_questions_at_a_terminal_wait_for_their_turn(
    project: Project, screen: Callable[..., Screen], args: Sequence[str]
) -> None:
    ask = "type: prompt, needs: [], message: 'Go', fields: {x: {type: integer}}"
    project.recipe("x", {"a": ask, "c": "needs: []"})
    project.recipe("y", {"b": ask, "d": "needs: []"})
    shown = screen(*args)
    for number in ("1", "2"):
        shown.reads("x> ")
        shown.types(f"{number}\n")

    assert shown.status() == 0, shown.seen
    assert shown.seen.count("x> ") >= 2
    values = [event["values"] for event in _events(project, "question_answered")]
    assert sorted(one["x"] for one in values) == [1, 2]


def test_a_session_with_many_open_files_asks_as_any_other(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.write(
        "conftest.py",
        """
        import os
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
        kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
        """,
    )
    project.recipe("x", {"a": "type: prompt, message: 'Go', fields: {x: {type: integer}}"})
    shown = screen()
    shown.reads("x> ")
    shown.types("1\n")

    assert shown.status() == 0, shown.seen
    assert "warning" not in shown.seen


class OperatorPage:
    """A monitor with an operator page, as far as a session sees it; used in a ``with`` block.

    Attributes:
        nonces: The nonces of the questions that it answered.
        replies: The replies of the session to its answers.
    """

    def __init__(self, base: Path, lines: Sequence[dict[str, str]]) -> None:
        self._base, self._lines = base, [*lines]
        self.nonces: list[str] = []
        self.replies: list[Reply] = []
        self._thread = threading.Thread(target=self._answer)

    def __enter__(self) -> Self:
        self._base.mkdir(parents=True)
        page_lease.renew(self._base)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()

    def _answer(self) -> None:
        accepted = ""
        for lines in self._lines:
            # An accepted answer's question is shown until the step has it.
            while not (questions := [one for one in self.questions() if one.nonce != accepted]):
                time.sleep(0.01)
            nonce = questions[0].nonce
            self.nonces.append(nonce)
            button = questions[0].asked.question.buttons[0]
            self.replies.append(self.send(nonce, lines, button))
            accepted = "" if self.replies[-1].problems else nonce

    def questions(self) -> Sequence[ShownQuestion]:
        """Return the open questions of the newest run."""
        with contextlib.suppress(ChannelClosed):
            return request(self._run(), Look()).questions
        return ()

    def send(self, nonce: str, lines: dict[str, str], button: str) -> Reply:
        """Send an answer."""
        page_lease.renew(self._base)
        answer = Answering(nonce=nonce, lines=lines, button=button, who="Ann")
        return request(self._run(), answer)

    def _run(self) -> Path:
        return max(self._base.glob("2*"), default=self._base / "none")


def test_an_operator_page_answers_where_no_terminal_is(project: Project) -> None:
    project.recipe(
        "x",
        {
            "inspect": f"{_INSPECT}, outputs: {{of: '${{{{ result.serial }}}}'}}",
            "login": _LOGIN,
            "use": "type: shell, cmd: 'echo pin ${{ steps.login.result.pin }}', parse: text",
        },
        head="requires: {terminal: true}\n",
    )
    lines = [{"serial": "12"}, {"serial": "SN12"}, {"pin": "hunter2"}]
    with OperatorPage(project.path / ".orchestrator" / "runs", lines) as page:
        blocks = project.blocks()

    assert {one["step"]["state"] for one in blocks.values()} == {"passed"}
    assert [reply.problems for reply in page.replies] == [
        {"serial": "should match SN[0-9]+"},
        {},
        {},
    ]
    assert len({*page.nonces}) == 2
    answered = [
        (one["where"], one["who"], one["values"]) for one in _events(project, "question_answered")
    ]
    assert answered == [
        ("page", "Ann", {"serial": "SN12", "volts": 5}),
        ("page", "Ann", {"pin": "***"}),
    ]
    for path in project.path.glob(".orchestrator/**/*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes(), path
        assert path.name != "questions.json"


def test_a_question_fails_if_its_operator_page_stays_away(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.recipe("x", {"inspect": _INSPECT})
    (runs := project.path / ".orchestrator" / "runs").mkdir(parents=True)
    page_lease.renew(runs)
    monkeypatch.setattr(page_lease, "GRACE", 0.0)
    assert project.reasons()["inspect"] == (
        "no operator page has been connected for 0 s; missing answers: inspect.serial, "
        "inspect.button (--recipe-answer inspect.serial=VALUE, or --recipe-answers FILE)"
    )


def test_terminal_and_operator_page_show_the_same_question_and_one_answer_wins(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe("x", {"inspect": _INSPECT, "sure": "type: prompt, message: 'Sure?'"})
    with OperatorPage(project.path / ".orchestrator" / "runs", [{"serial": "SN12"}]) as page:
        shown = screen()
        shown.reads("serial> ")
        shown.reads("answered by Ann on the operator page")
        shown.reads("Press Enter to continue> ")
        (sure,) = page.questions()
        shown.types("\n")
        shown.reads("passed")
        late = "closed"
        with contextlib.suppress(ChannelClosed):  # it closes 0.1 s after the last answer
            late = page.send(sure.nonce, {}, "continue").refusal
        assert late

    assert shown.status() == 0, shown.seen
    answered = _events(project, "question_answered")
    assert [one["where"] for one in answered] == ["page", "terminal"]


def test_ctrl_c_at_a_question_ends_the_run_and_asks_nothing_more(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe(
        "x",
        {"login": _LOGIN, "next": ""},
        final={"off": "", "sure": "type: prompt, message: 'Is it off?'"},
    )
    shown = screen("-rA")
    shown.reads("pin> ")
    shown.types("\x03")

    assert shown.status() == pytest.ExitCode.INTERRUPTED, shown.seen
    assert "no question is asked after Ctrl-C" in shown.seen
    finished = {one["step"]: one for one in _events(project, "step_finished")}
    outcomes = {name: one["outcome"] for name, one in finished.items()}
    assert outcomes == {
        "login": "interrupted",
        "next": "not run",
        "off": "passed",
        "sure": "failed",
    }
    assert finished["sure"]["block"]["step"]["kind"] == "not_found"
    resumed = project.blocks("--recipe-resume", "-klogin")
    assert _MISSING in resumed["login"]["step"]["reason"]


# In a terminal, Ctrl-C reaches the workers too, as no fork would.
@pytest.mark.own_interpreters
def test_ctrl_c_at_a_question_of_a_worker_is_reported_at_its_step(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe("x", {"login": _LOGIN})
    shown = screen("-n2", "--color=no")
    shown.reads("pin> ")
    shown.types("\x03")
    assert shown.status() == pytest.ExitCode.INTERRUPTED, shown.seen
    assert re.search(r"recipes/x\.yaml:\d+: KeyboardInterrupt", shown.seen)


def test_a_terminal_that_is_closed_at_a_question_interrupts_its_step(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe("x", {"login": _LOGIN, "next": ""}, final={"off": ""})
    shown = screen("-p", "no:randomly", stderr=project.path / "stderr")
    shown.reads("pin> ")

    assert shown.hang_up() == pytest.ExitCode.INTERRUPTED
    assert (project.path / "stderr").read_text() == ""
    finished = [
        (one["step"], one["outcome"], one["block"]["step"].get("reason", ""))
        for one in _events(project, "step_finished")
    ]
    assert [(name, outcome) for name, outcome, _ in finished] == [
        ("login", "interrupted"),
        ("off", "passed"),
        ("next", "not run"),
    ]
    assert finished[0][2].endswith("SIGHUP")


def test_no_question_is_asked_after_ctrl_c_in_another_step(
    project: Project, screen: Callable[..., Screen]
) -> None:
    wait = "type: shell, cmd: 'touch begun; sleep 60'"
    project.recipe("x", {"wait": wait}, final={"sure": "type: prompt, message: 'Is it off?'"})
    shown = screen()
    while not (project.path / "begun").exists():
        time.sleep(0.01)
    shown.types("\x03")

    assert shown.status() == pytest.ExitCode.INTERRUPTED, shown.seen
    assert "no question is asked after Ctrl-C" in shown.seen


def test_a_prompt_with_a_timeout_ends_at_it(
    project: Project, screen: Callable[..., Screen]
) -> None:
    project.recipe("x", {"login": f"{_LOGIN}, timeout: 0.4s"})
    shown = screen()
    shown.reads("pin> ")
    assert shown.status() == 1
    assert "timeout: still running after 0.4 s" in shown.seen
    assert 'File "' not in shown.seen
    logs = project.path.glob(".orchestrator/runs/*/logs/x/login.*")
    assert "".join(path.read_text() for path in logs) == ""


def test_the_example_of_the_how_to_page_looks_as_it_is_shown(
    project: Project, screen: Callable[..., Screen]
) -> None:
    for name in ("recipes/incoming.yaml", "answers.yaml"):
        project.write(name, PARTS[name])
    shown = screen()
    lines = re.split(r"(?<=> )(.+)\n", PARTS["terminal"])
    for text, typed in zip(lines[::2], lines[1::2], strict=False):
        seen = shown.reads(text.splitlines()[-1]).replace("\r\n", "\n")
        assert seen.endswith(text)
        shown.types(f"{typed}\n")
    assert shown.status() == 0, shown.seen

    blocks = project.blocks("--recipe-answers=answers.yaml", "-orecipe_html=true")
    page = max(project.path.glob(".orchestrator/runs/*/report.html")).read_text()
    assert re.search(r"pass, answered by \w+ before the run at 20", page)
    states = {name: one["step"]["state"] for name, one in blocks.items()}
    assert states == {"inspect": "passed", "label": "passed"}
