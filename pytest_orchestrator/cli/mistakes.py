"""What is wrong with a command line."""

import argparse
from collections.abc import Callable, Collection
from pathlib import Path

from pytest_orchestrator.core.nearest import nearest


class Mistake(Exception):
    """A command line that cannot be meant; its text says why."""


def one_of(what: str, names: Collection[str]) -> Callable[[str], str]:
    """Return a type of arguments: one of some names.

    Args:
        what: What they name, in a word.
        names: The names.
    """

    def checked(text: str) -> str:
        if text in names:
            return text
        there = nearest(text, names) or f"; there is {', '.join(names)}"
        raise argparse.ArgumentTypeError(f"no {what} '{text}'{there}")

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
