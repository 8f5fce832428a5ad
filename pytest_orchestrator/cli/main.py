"""Entry point of the command line: verbs, version, exit codes."""

import argparse
import io
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol, cast

from pytest_orchestrator.cli import verbs
from pytest_orchestrator.cli.arguments import PROGRAM, Parser, UsageError, with_example
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.reports.text import say

_OPTIONS = ("-h", "--help", "--version")


class Verb(Protocol):
    """A module of `verbs`; its docstring says what it does."""

    EXAMPLE: str
    """What follows the name of the program in a command that works."""

    # PASSES_ON = True: arguments that it does not know are its `args.rest`, and no mistake.

    __doc__: str

    def declare(self, parser: argparse.ArgumentParser) -> None:
        """Say which arguments there are."""

    def run(self, args: argparse.Namespace) -> int:
        """Do it; return how the process exits.

        Raises:
            Mistake: The command line is wrong.
        """


def known_verbs() -> dict[str, Verb]:
    """Return all verbs by name."""
    # What pkgutil has for that imports inspect, which takes as long as all verbs together.
    files = Path(verbs.__path__[0]).glob("[!_]*.py")
    names = sorted(file.stem for file in files)
    return {name: cast("Verb", import_module(f"{verbs.__name__}.{name}")) for name in names}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The words after the name of the program; those of the process where None.

    Returns:
        0 where all is well, 1 where what was asked for is not, 2 where the question is wrong.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be in no encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    known = known_verbs()
    parser, each = _parsers(known)
    _complete(parser)
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        parser.error(f"name a verb: {', '.join(known)}; --help tells what each does")
    if words[0].startswith("-") and words[0] not in _OPTIONS:
        _refuse(parser, words[0])  # else the verb would be missed first
    args, strange = parser.parse_known_args(words)
    # A verb that has verbs of its own says whose arguments these are.
    asked: argparse.ArgumentParser = getattr(args, "parser", each[args.verb])
    args.rest = strange
    if strange and not getattr(known[args.verb], "PASSES_ON", False):
        _refuse(asked, strange[0])
    try:
        code = known[args.verb].run(args)
        sys.stdout.flush()
    except UsageError as mistake:
        asked.error(str(mistake))
    except KeyboardInterrupt:
        return 2
    except BrokenPipeError:  # of `| head`; what is left must not be written at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code


def _parsers(
    known: dict[str, Verb],
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = Parser(
        prog=PROGRAM,
        description="Recipes of pytest, without pytest.",
        **with_example("validate"),
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    group = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    each: dict[str, argparse.ArgumentParser] = {}
    for name, verb in known.items():
        first, _, rest = verb.__doc__.partition("\n")
        each[name] = group.add_parser(
            name,
            help=first[0].lower() + first[1:].rstrip("."),
            description=f"{first}\n{rest}".rstrip(),
            **with_example(verb.EXAMPLE),
        )
        verb.declare(each[name])
    return parser, each


def _refuse(parser: argparse.ArgumentParser, word: str) -> NoReturn:
    """Tell of an argument that there is none of."""
    options = re.findall(r"--[\w-]+", parser.format_help())
    what = "no option" if word.startswith("-") else "one argument too many:"
    parser.error(f"{what} '{word}'{nearest(word.partition('=')[0], options)}")


def _complete(parser: argparse.ArgumentParser) -> None:
    if "_ARGCOMPLETE" in os.environ:
        import argcomplete

        argcomplete.autocomplete(parser)


class _Version(argparse.Action):
    """Looks the version up only where it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import pytest_orchestrator

        say(f"{PROGRAM} {pytest_orchestrator.__version__}")
        parser.exit()
