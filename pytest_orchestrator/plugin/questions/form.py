"""Form at the terminal: shows a question and reads its answer line by line.

The terminal edits the lines itself. The form reads the terminal through file descriptors, which
pytest's capture does not replace while it is suspended.
"""

import contextlib
import os
import textwrap
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.core.files import is_readable
from pytest_orchestrator.core.questions import CONTINUE, Question
from pytest_orchestrator.core.text import CONTROLS, escape_surrogates
from pytest_orchestrator.core.typed_fields import InputField, hint_of, sentence_of, value_of_line

if TYPE_CHECKING:
    from pytest_orchestrator.core.json_values import Json

_LOOK = 0.2
"""Seconds after which the form looks whether the question is over."""

_WIDTH = 78
_LOCAL_FLAGS = 3  # index in the list of `termios.tcgetattr`


class FormOver(Exception):
    """The question was answered elsewhere or withdrawn while the form was shown."""


class TerminalClosed(Exception):
    """The terminal sends no more lines."""


class Terminal:
    """Terminal at which lines are read.

    Args:
        source: File descriptor of the terminal from which lines are read.
        out: File descriptor of the terminal to which the form is written.
        begins_line: False if the cursor is behind other text, so that the form begins a new line.
    """

    def __init__(self, source: int, out: int, *, begins_line: bool = True) -> None:
        self._source, self._out, self._begins_line = source, out, begins_line
        self._lock = threading.RLock()
        self._prompt = ""

    def write(self, text: str) -> None:
        """Write text with its control characters escaped."""
        shown = escape_surrogates(text).translate(CONTROLS).encode()
        while shown:
            shown = shown[os.write(self._out, shown) :]

    def begin(self) -> None:
        """Begin a form: on a new line, and without what was typed before the question."""
        import termios

        if not self._begins_line:
            self.write("\n")
        with contextlib.suppress(termios.error):
            termios.tcflush(self._source, termios.TCIFLUSH)

    def read_line(self, prompt: str, is_over: Callable[[], bool], *, secret: bool = False) -> str:
        """Show a prompt and return the line that was typed, without white space around it.

        Args:
            prompt: The prompt, one line.
            is_over: Function that returns True once the form is to end.
            secret: True if the line is not shown while it is typed.

        Raises:
            FormOver: `is_over` returned True.
            TerminalClosed: The terminal sends no more lines.
        """
        with self._line_mode(secret=secret):
            with self._lock:
                self._prompt = prompt
                self.write(prompt)
            try:
                while not is_readable(self._source, _LOOK):
                    if is_over():
                        self.write("\n")
                        raise FormOver
                data = os.read(self._source, 1 << 16)
            except OSError:
                data = b""
            finally:
                self._prompt = ""
        if not data:
            raise TerminalClosed
        return data.decode("utf-8", "surrogateescape").strip()

    @contextlib.contextmanager
    def hidden(self) -> Iterator[None]:
        """Erase the prompt in the ``with`` block, which writes to the terminal; show it again."""
        with self._lock:
            prompt = self._prompt
            if prompt:
                os.write(self._out, b"\r\x1b[K")
            yield
            if prompt:
                self.write(f"\n{prompt}")

    @contextlib.contextmanager
    def _line_mode(self, *, secret: bool) -> Iterator[None]:
        """Make the terminal edit lines in a ``with`` block, and hide them if `secret` is true."""
        import termios  # Windows lacks it, where this package is imported too

        try:
            before: list[Any] = termios.tcgetattr(self._source)
        except termios.error:
            raise TerminalClosed from None
        flags = before[_LOCAL_FLAGS] | termios.ICANON | termios.ISIG | termios.ECHONL
        flags = flags & ~termios.ECHO if secret else flags | termios.ECHO
        within = [*before]
        within[_LOCAL_FLAGS] = flags
        try:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._source, termios.TCSADRAIN, within)
            yield
        finally:
            with contextlib.suppress(termios.error):  # a closed terminal must not hide its signal
                termios.tcsetattr(self._source, termios.TCSADRAIN, before)


def fill(
    terminal: Terminal, title: str, question: Question, is_over: Callable[[], bool]
) -> "tuple[dict[str, Json], str]":
    """Show a question at the terminal, and return the values of its fields and the button.

    A wrong line is asked again, with the rule that it violates.

    Args:
        terminal: The terminal.
        title: Line above the question: who asks, and for which DUT.
        question: The question.
        is_over: Function that returns True once the form is to end.

    Raises:
        FormOver: `is_over` returned True.
        TerminalClosed: The terminal sends no more lines.
    """
    terminal.begin()
    terminal.write(f"{title}\n\n{_wrapped(question.message)}\n")
    if question.image is not None:
        terminal.write(f"  picture: {question.image}\n")
    terminal.write("\n")
    values = {
        name: _field_value(terminal, name, field, is_over)
        for name, field in question.fields.items()
    }
    button = _button(terminal, question, is_over)
    return values, button


def _field_value(
    terminal: Terminal, name: str, field: InputField, is_over: Callable[[], bool]
) -> "Json":
    terminal.write(_wrapped(f"{field.label or name}: {hint_of(field)}") + "\n")
    while True:
        line = terminal.read_line(f"  {name}> ", is_over, secret=field.secret)
        try:
            return value_of_line(field, line)
        except ValueError as error:
            terminal.write(_wrapped(sentence_of(name, field, str(error))) + "\n")


def _button(terminal: Terminal, question: Question, is_over: Callable[[], bool]) -> str:
    if not question.needs_button:
        return question.buttons[0]
    if question.buttons == (CONTINUE,):
        terminal.read_line("  Press Enter to continue> ", is_over)
        return CONTINUE
    choices = " or ".join(question.buttons)
    while True:
        line = terminal.read_line(f"  {choices}> ", is_over).lower()
        matching = [name for name in question.buttons if line and name.startswith(line)]
        if len(matching) == 1:
            return matching[0]
        terminal.write(f"  write {choices}\n")


def _wrapped(text: str) -> str:
    """Return a text indented by two columns, with its long lines wrapped."""
    lines = []
    for line in text.strip("\n").expandtabs(4).split("\n"):
        indent = "  " + " " * (len(line) - len(line.lstrip()))
        wrapped = textwrap.wrap(
            line.strip(),
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
        lines += wrapped or [""]
    return "\n".join(lines)
