"""The form at a pseudo-terminal: wrong lines, secrets, buttons, and its early end."""

import os
import pty
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from pytest_orchestrator.core.files import is_readable
from pytest_orchestrator.core.questions import Question
from pytest_orchestrator.plugin.questions.form import (
    FormOver,
    Terminal,
    TerminalClosed,
    fill,
)


class Person:
    """A person at the other end of a pseudo-terminal, who reads and types."""

    def __init__(self) -> None:
        self.end, self.tty = pty.openpty()
        self.seen = self.all_seen = ""
        self.filled: Any = None
        self.is_over = False

    def ask(self, question: dict[str, Any], is_over: Callable[[], bool] | None = None) -> None:
        """Show the form of a question in a thread."""
        asked = msgspec.convert({"message": "Look.", **question}, Question)

        def run() -> None:
            try:
                over = is_over or (lambda: self.is_over)
                self.filled = fill(Terminal(self.tty, self.tty), "title", asked, over)
            except (FormOver, TerminalClosed) as error:
                self.filled = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def reads(self, text: str) -> None:
        """Wait until a text is shown."""
        deadline = time.monotonic() + 20
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if is_readable(self.end, 0.1):
                piece = os.read(self.end, 10_000).decode().replace("\r\n", "\n")
                self.seen, self.all_seen = self.seen + piece, self.all_seen + piece
        _, _, self.seen = self.seen.partition(text)

    def types(self, text: str) -> None:
        """Type a text."""
        os.write(self.end, text.encode())

    def result(self) -> Any:
        """Wait until the form is filled; return its values and button."""
        self._thread.join(20)
        return self.filled


@pytest.fixture
def person() -> Iterator[Person]:
    """A person at a terminal."""
    made = Person()
    yield made
    made.is_over = True
    made.result()
    os.close(made.end)
    os.close(made.tty)


@pytest.mark.counted
def test_a_wrong_line_is_asked_again_with_its_rule(person: Person) -> None:
    person.ask({"fields": {"serial": {"pattern": "SN[0-9]+"}, "n": {"type": "integer", "max": 3}}})

    person.reads("title\n\n  Look.\n")
    person.reads("  serial: text that matches SN[0-9]+\n  serial> ")
    person.types("12\n")
    person.reads("  'serial' should match SN[0-9]+\n  serial> ")
    person.types("\n")
    person.reads("  'serial' should not be empty\n  serial> ")
    person.types(" SN12 \n")
    person.reads("  n: a whole number, at most 3\n  n> ")
    person.types("4\n")
    person.reads("  'n' should be at most 3\n  n> ")
    person.types("3\n")

    assert person.result() == ({"serial": "SN12", "n": 3}, "continue")


def test_an_empty_line_takes_the_default_or_null(person: Person) -> None:
    person.ask(
        {
            "fields": {
                "a": {"default": "A1"},
                "b": {"type": "json", "required": False},
                "on": {"type": "boolean", "default": True},
                "c": {"type": "json", "default": {"a": [1, None]}},
            }
        },
    )
    person.reads("a: text (empty: A1)\n  a> ")
    person.types("\n")
    person.reads("b: a JSON value (may be empty)\n  b> ")
    person.types("\n")
    person.reads(" (empty: true)\n  on> ")
    person.types("\n")
    person.reads('c: a JSON value (empty: {"a": [1, null]})\n  c> ')
    person.types("\n")
    values = {"a": "A1", "b": None, "on": True, "c": {"a": [1, None]}}
    assert person.result() == (values, "continue")


@pytest.mark.counted
def test_a_secret_is_not_echoed_and_the_echo_comes_back(person: Person) -> None:
    person.ask({"fields": {"pin": {"secret": True, "default": "8642"}, "name": {}}})

    person.reads("pin: text (empty: ***)\n  pin> ")
    person.types("97531\n")
    person.reads("name: text\n")
    person.types("bob\n")

    assert person.result() == ({"pin": "97531", "name": "bob"}, "continue")
    person.reads("bob")
    assert "97531" not in person.all_seen
    assert termios.tcgetattr(person.tty)[3] & termios.ECHO


@pytest.mark.counted
def test_a_button_is_chosen_by_its_beginning(person: Person) -> None:
    person.ask({"buttons": ["pass", "fail"]})
    person.reads("  pass or fail> ")
    person.types("maybe\n")
    person.reads("  write pass or fail\n  pass or fail> ")
    person.types("\n")
    person.reads("  write pass or fail\n  pass or fail> ")
    person.types("F\n")
    assert person.result() == ({}, "fail")


@pytest.mark.counted
def test_a_question_without_fields_waits_for_the_enter_key(person: Person) -> None:
    person.ask({"image": "docs/board.png"})
    person.reads("  picture: docs/board.png\n\n  Press Enter to continue> ")
    person.types("\n")
    assert person.result() == ({}, "continue")


def test_lines_that_were_typed_before_the_question_do_not_answer_it(person: Person) -> None:
    person.types("\n\n")
    person.ask({"buttons": ["pass", "fail"]})
    person.reads("pass or fail> ")
    person.types("pass\n")
    assert person.result() == ({}, "pass")
    assert "write" not in person.seen


def test_the_form_ends_when_the_question_is_over(person: Person) -> None:
    person.ask({"fields": {"pin": {"secret": True}}})
    person.reads("pin> ")
    person.is_over = True
    assert isinstance(person.result(), FormOver)
    assert termios.tcgetattr(person.tty)[3] & termios.ECHO


def test_the_end_of_the_input_ends_the_form(person: Person) -> None:
    person.ask({})
    person.reads("continue> ")
    person.types("\x04")
    assert isinstance(person.result(), TerminalClosed)


def test_control_characters_of_a_message_do_not_reach_the_terminal(person: Person) -> None:
    person.ask({"message": "a\x1b[2J\u202eb" + " word" * 30})
    person.reads("  a\\x1b[2J\\u202eb word")
    person.reads("continue> ")
    person.types("\n")
    person.result()


@pytest.mark.counted
def test_the_prompt_is_hidden_while_another_line_is_written() -> None:
    end, tty = pty.openpty()
    terminal, over = Terminal(tty, tty), threading.Event()

    def read() -> None:
        with pytest.raises(FormOver):
            terminal.read_line("x> ", over.is_set)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    seen = b""
    while not seen.endswith(b"x> "):
        seen += os.read(end, 100)
    with terminal.hidden():
        os.write(tty, b"PASSED")
    while not seen.endswith(b"\nx> "):
        seen += os.read(end, 100)
    over.set()
    thread.join(20)
    with terminal.hidden():
        pass
    os.close(end)
    os.close(tty)

    assert seen == b"x> \r\x1b[KPASSED\r\nx> "
