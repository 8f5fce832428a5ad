"""Argument parser of the command line: suggestions, argument types, examples in help."""

import argparse
import errno
import io
import os
import re
import shutil
import sys
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, TextIO, cast

from pytest_orchestrator.core.suggestions import nearest, there_is
from pytest_orchestrator.core.text import wrapped
from pytest_orchestrator.reports.text import IN_A_LINE, say, shown

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

    from pytest_orchestrator.reports.terminal.lines import Table


_LAST_PORT: Final = 65535


class UsageError(Exception):
    """A command line with wrong arguments; the text of the error says why."""


class Parser(argparse.ArgumentParser):
    """Argument parser that suggests the nearest valid choice, as Python does from 3.14 on.

    A shell completes the words of an argument whose type is a `OneOf`.
    """

    def add_argument(self, *names: str, **options: Any) -> argparse.Action:
        """Declare an argument; argcomplete looks for the completer at it, not at its type."""
        action = super().add_argument(*names, **options)
        if isinstance(action.type, OneOf):
            action.completer = action.type.completer  # type: ignore[attr-defined]
        return action

    def error(self, message: str) -> NoReturn:
        """Print the usage and the error, and exit with code 2."""
        choice = re.fullmatch(
            r"argument (.*): invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL
        )
        if choice:
            names = re.findall(r"[\w-]+", choice[3])
            what = choice[1].lower() if choice[1].isalpha() else "command"
            message = f"no {what} '{choice[2]}'{nearest_of(choice[2], names)}"
        super().error(message.translate(IN_A_LINE))


def nearest_of(name: str, names: Collection[str]) -> str:
    """Return a hint with the most similar valid name, or with all names if none is similar."""
    return nearest(name, names) or there_is([*names])


class OneOf:
    """Type of an argument that accepts only fixed words, which a shell completes.

    Args:
        what: The kind of the words, such as ``schema``, for the error.
        names: The accepted words.
    """

    def __init__(self, what: str, names: Collection[str]) -> None:
        self._what, self._names = what, names

    def __call__(self, text: str) -> str:
        """Return an accepted word.

        Raises:
            argparse.ArgumentTypeError: The word is not accepted; the text suggests the nearest.
        """
        if text in self._names:
            return text
        hint = nearest_of(text, self._names)
        raise argparse.ArgumentTypeError(f"no {self._what} '{text}'{hint}")

    def completer(self, **_: object) -> Collection[str]:
        """Return the words that argcomplete offers; it selects those that fit."""
        return self._names


def existing_path(text: str) -> Path:
    """Return the path that an argument names, after a check that it exists.

    Raises:
        argparse.ArgumentTypeError: The path does not exist; the text suggests the nearest one.
    """
    if not text:
        raise argparse.ArgumentTypeError("the path is empty; name a file or a folder")
    path = Path(text)
    if os.path.exists(path):
        return path
    folder = path.parent
    if not os.path.isdir(folder):
        raise argparse.ArgumentTypeError(f"{folder} is no folder")
    near = nearest(text, [str(one) for one in sorted(folder.iterdir())])
    raise argparse.ArgumentTypeError(f"there is no {text}{near}")


def port(text: str) -> int:
    """Return the port that an argument names; 0 is any free one.

    Raises:
        argparse.ArgumentTypeError: The text is no number from 0 to 65535.
    """
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no port; write a number from 0 to {_LAST_PORT}"
        ) from None
    if number < 0:
        raise argparse.ArgumentTypeError(f"a port is at least 0, not {number}")
    if number > _LAST_PORT:
        raise argparse.ArgumentTypeError(f"a port is at most {_LAST_PORT}, not {number}")
    return number


def declare_page(parser: argparse.ArgumentParser, default: int) -> None:
    """Declare the arguments of a command that serves a page: address, port, browser.

    Args:
        parser: The parser of the command.
        default: The default of the port.
    """
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="the address to listen at; only an address other than 127.0.0.1 is reachable from "
        "other machines (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        type=port,
        default=default,
        help=f"the port, or the next free one if it is in use (default: {default})",
    )
    parser.add_argument("--open", action="store_true", help="open a browser")


def day(text: str) -> datetime:
    """Return the begin, in UTC, of the day that an argument names.

    Raises:
        argparse.ArgumentTypeError: The text is no date; the error has the form to write.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"'{text}' is no date; write year, month and day, as in 2026-11-25"
        ) from None


PROGRAM: Final = "pytest-orchestrator"


def with_example(words: str) -> dict[str, Any]:
    """Return keyword arguments for `ArgumentParser` that end its help with an example.

    Args:
        words: The example without the name of the program.
    """
    return {
        "epilog": f"example:\n  {PROGRAM} {words}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }


def usage_of(parser: argparse.ArgumentParser, *parts: str) -> str:
    """Return a usage that is wrapped between its parts; argparse wraps only what it writes itself.

    Args:
        parser: The parser of the command.
        parts: The arguments, such as ``[-h]``.
    """
    width = shutil.get_terminal_size().columns - 2  # as argparse
    begin = " " * len(f"usage: {parser.prog}")
    lines = [begin]
    for part in parts:
        if lines[-1] != begin and len(f"{lines[-1]} {part}") > width:
            lines.append(begin)
        lines[-1] += f" {part}"
    return "%(prog)s" + "\n".join(lines).removeprefix(begin)


_STDOUT = 1


class Unwritable(Exception):
    """Stdout cannot be written; the text of the error is the reason.

    It is no `OSError`, because argparse suppresses those, and others mean the file of a command.
    """


class _Stdout(io.FileIO):
    """File descriptor 1; a failed write raises `Unwritable`, except to a pipe without a reader."""

    def write(self, data: "ReadableBuffer", /) -> int:
        """Write bytes.

        Raises:
            BrokenPipeError: The reader of the pipe has ended.
            Unwritable: The bytes cannot be written.
        """
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            closed = error.errno == errno.EBADF
            raise Unwritable("stdout is closed" if closed else error.strerror) from error


def prepare_stdout() -> None:
    """Make stdout accept any character, and raise `Unwritable` for a failed write.

    A stdout that is not that of the process, as that of a test, is kept.
    """
    out = cast("TextIO | None", sys.stdout)  # None if file descriptor 1 is closed
    if isinstance(out, io.TextIOWrapper):
        out.reconfigure(errors="backslashreplace")  # names of files may not be encodable
    if out is None:
        # Else the next file that is opened would get this descriptor, and what is printed.
        os.dup2(os.open(os.devnull, os.O_RDONLY), _STDOUT)
    elif out is not sys.__stdout__:
        return
    raw = _Stdout(_STDOUT, "w", closefd=False)
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=out.encoding if out else "utf-8",
        errors="backslashreplace",
        line_buffering=raw.isatty(),
    )


def discard_stdout() -> None:
    """Discard what stdout has not written yet, so that the end of Python does not fail at it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def declare_wide(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Declare the option `--wide`.

    Args:
        parser: The parser of a command.
        more: Keyword arguments of the option.
    """
    parser.add_argument(
        "--wide",
        action="store_true",
        help="print all columns and whole texts, whatever the width of the terminal",
        **more,
    )


def width_of(args: argparse.Namespace) -> int | None:
    """Return the columns of the terminal; None for `--wide`, or if there is no terminal.

    The environment variable COLUMNS sets the width of output that is not a terminal.
    """
    if getattr(args, "wide", False):
        return None
    if not (sys.stdout.isatty() or os.environ.get("COLUMNS")):
        return None
    return shutil.get_terminal_size((0, 0)).columns or None


def say_tables(tables: "Iterable[Table]") -> None:
    """Print tables, and which columns of them are left out."""
    hidden: list[str] = []
    for table in tables:
        say(*table.texts())
        hidden += table.hidden
    say_hidden(hidden)


def say_hidden(titles: Iterable[str]) -> None:
    """Print the titles of columns that are left out; nothing if there are none."""
    names = ", ".join(dict.fromkeys(filter(None, titles)))
    if names:
        say(f"left out: {names} (--wide shows all)")


def say_wrapped(lines: Iterable[str], width: int | None) -> None:
    """Print lines; those that are longer than the terminal are broken at spaces.

    Args:
        lines: The lines.
        width: The columns of the screen; None if there is no limit.
    """
    for line in lines:
        if width is None:
            say(line)
            continue
        indent = " " * (len(line) - len(line.lstrip(" ")) + 4)
        say(*wrapped(shown(line), width, indent))
