"""Argument parser of the command line, usage errors, help examples."""

import argparse
import re
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, Final, NoReturn

from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.reports.text import IN_A_LINE


class UsageError(Exception):
    """A command line that cannot be meant; its text says why."""


class Parser(argparse.ArgumentParser):
    """Names the nearest of the words that it knows, as Python does from 3.14 on."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit with 2."""
        choice = re.fullmatch(
            r"argument (.*): invalid choice: '(.*)' \(choose from (.*)\)", message, re.DOTALL
        )
        if choice:
            names = re.findall(r"[\w-]+", choice[3])
            what = choice[1].lower() if choice[1].isalpha() else "word"
            message = f"no {what} '{choice[2]}'{nearest_of(choice[2], names)}"
        super().error(message.translate(IN_A_LINE))


def nearest_of(name: str, names: Collection[str]) -> str:
    """Name the nearest of a few names, or all of them where none is near."""
    return nearest(name, names) or f"; there is {', '.join(names)}"


def one_of(what: str, names: Collection[str]) -> Callable[[str], str]:
    """Return a type of arguments: one of some names.

    Args:
        what: What they name, in a word.
        names: The names.
    """

    def checked(text: str) -> str:
        if text in names:
            return text
        raise argparse.ArgumentTypeError(f"no {what} '{text}'{nearest_of(text, names)}")

    return checked


def existing(text: str) -> Path:
    """Return the path that an argument names.

    Raises:
        argparse.ArgumentTypeError: Nothing is there; the text has the nearest name.
    """
    path = Path(text)
    if path.exists():
        return path
    folder = path.parent
    if not folder.is_dir():
        raise argparse.ArgumentTypeError(f"{folder} is no folder")
    near = nearest(text, [str(one) for one in sorted(folder.iterdir())])
    raise argparse.ArgumentTypeError(f"there is no {text}{near}")


PROGRAM: Final = "pytest-orchestrator"


def with_example(words: str) -> dict[str, Any]:
    """Return what a parser is made with so that its help ends with an example.

    Args:
        words: What follows the name of the program.
    """
    return {
        "epilog": f"example:\n  {PROGRAM} {words}",
        "formatter_class": argparse.RawDescriptionHelpFormatter,
        "allow_abbrev": False,
    }
