"""Entry point of the command line: commands, version, exit codes."""

import argparse
import contextlib
import os
import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn, Protocol, cast

from pytest_orchestrator.cli import verbs
from pytest_orchestrator.cli.arguments import (
    PROGRAM,
    Parser,
    Unwritable,
    UsageError,
    discard_stdout,
    prepare_stdout,
    with_example,
)
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.reports.text import say

_OPTIONS = ("-h", "--help", "--version")
_AT_EACH_STEP = "`monitor` shows the Context before and after each step"
_IN_STATS = "`stats --html FILE` draws measurements over runs"
_REMOVED = {
    "watch": "python -m pip install watchfiles, then: watchfiles 'pytest recipes/' recipes "
    "scriptlets",
    "ctx diff": "`compare A B` prints the keys that differ",
    "ctx who": "`ctx history KEY` prints who changed a key",
    "ctx --before": _AT_EACH_STEP,
    "ctx --after": _AT_EACH_STEP,
    "new --minimal": "the short form is the default",
    "new --schema": "the first line of a recipe names recipe.schema.json if the project has it",
    "report --ctrf": f"{PROGRAM} export ctrf:FILE",
    "report --allure": f"{PROGRAM} export allure:FOLDER",
    "report --otel": f"{PROGRAM} export otel:ENDPOINT",
    "validate --imports": "`pytest recipes/` imports the modules when their steps run",
    "runs --html": "`stats --dut SERIAL --html FILE` writes a page",
    "runs -o": _IN_STATS,
    "runs --output": _IN_STATS,
}
"""Commands and options of earlier versions, and what replaces them."""


class Verb(Protocol):
    """Interface of a module of `verbs`; its docstring is the help text of the command."""

    EXAMPLE: str
    """A working command without the name of the program."""

    # PASSES_ON = True: unknown arguments are no error and are passed to it as `args.rest`.

    __doc__: str

    def declare(self, parser: argparse.ArgumentParser) -> None:
        """Add the arguments of the command to its parser."""

    def run(self, args: argparse.Namespace) -> int:
        """Run the command and return the exit code.

        Raises:
            UsageError: The command line is wrong.
        """


def known_verbs(name: str = "") -> dict[str, Verb]:
    """Return the verb of that name, or all verbs by name if there is no such verb.

    To import all takes several times as long as to import one.
    """
    # Not by pkgutil: it imports inspect, which takes as long as all verbs together.
    folder = Path(verbs.__path__[0])
    files = sorted(folder.rglob("[!_]*.py"), key=lambda file: file.stem)
    files = [file for file in files if file.stem == name] or files
    return {file.stem: cast("Verb", import_module(_module(folder, file))) for file in files}


def _module(folder: Path, file: Path) -> str:
    """Return the name of the module in a file below the folder of the verbs."""
    parts = file.relative_to(folder).with_suffix("").parts
    return ".".join((verbs.__name__, *parts))


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: The arguments after the name of the program; None takes those of the process.

    Returns:
        0 for success, 1 for a negative result such as a recipe with errors, or for an output that
        cannot be written, 2 for a wrong command line.
    """
    prepare_stdout()
    words = list(sys.argv[1:] if argv is None else argv)
    known: dict[str, Verb] = {} if words[:1] == ["--version"] else known_verbs(*words[:1])
    try:
        try:
            return _run(words, known)
        finally:  # also after the help, which ends by SystemExit
            sys.stdout.flush()
    except KeyboardInterrupt:
        return 2
    except BrokenPipeError:  # as by `| head`
        discard_stdout()
        return 1
    except Unwritable as error:
        discard_stdout()
        who = " ".join((PROGRAM, *(word for word in words[:1] if word in known)))
        say(f"{who}: the output cannot be written: {error}", err=True)
        return 1


def _run(words: Sequence[str], known: dict[str, Verb]) -> int:
    """Parse the command line and run its command; return the exit code."""
    parser, each = _parsers(known)
    _complete(parser, [each[name] for name, verb in known.items() if _passes_on(verb)])
    if not words:
        parser.error(f"name a command: {', '.join(known)}; --help describes them")
    if words[0].startswith("-") and words[0] not in _OPTIONS:
        _refuse(parser, words[0])  # argparse would report the missing command instead
    _refuse_removed(parser, words)
    args, unknown = parser.parse_known_args(words)
    # A subcommand sets `parser`, so that the error shows its usage.
    used: argparse.ArgumentParser = getattr(args, "parser", each[args.verb])
    args.rest = unknown
    if unknown and not _passes_on(known[args.verb]):
        _refuse(used, unknown[0])
    try:
        return known[args.verb].run(args)
    except UsageError as error:
        used.error(str(error))


def _refuse_removed(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    """Exit with an error if a command or an option is one of an earlier version."""
    options = [word.partition("=")[0] for word in words[1:] if word.startswith("-")]
    for name in (words[0], " ".join(words[:2]), *(f"{words[0]} {one}" for one in options)):
        if name in _REMOVED:
            parser.error(f"there is no '{name}' any more; {_REMOVED[name]}")


def _parsers(
    known: dict[str, Verb],
) -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    parser = Parser(
        prog=PROGRAM,
        description="Check, inspect and manage recipes and past runs.",
        **with_example("validate"),
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    group = parser.add_subparsers(metavar="COMMAND", dest="verb", required=True)
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
    """Print an error for an unknown option or a superfluous argument, and exit with code 2."""
    options = re.findall(r"--[\w-]+", parser.format_help())
    if word.startswith("-"):
        parser.error(f"no option '{word}'{nearest(word.partition('=')[0], options)}")
    cure = f" (say --run {word})" if "--run" in options else ""
    parser.error(f"one argument too many: '{word}'{cure}")


def _passes_on(verb: Verb) -> bool:
    return getattr(verb, "PASSES_ON", False)


def _complete(
    parser: argparse.ArgumentParser, passing_on: Sequence[argparse.ArgumentParser]
) -> None:
    """Print the words that a shell offers, and exit, if a shell asks for them.

    Args:
        parser: The parser of the command line.
        passing_on: The parsers of the verbs that declare no positional arguments, because they
            pass them on. They are offered files, as other verbs with recipes.
    """
    if "_ARGCOMPLETE" in os.environ:
        for each in passing_on:
            each.add_argument("passed_on", nargs="*")
        with contextlib.suppress(ImportError):  # of the extra `completion`
            import argcomplete

            argcomplete.autocomplete(parser)


class _Version(argparse.Action):
    """Action of the option `--version`; it looks the version up only if the option is used."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        import pytest_orchestrator

        say(f"{PROGRAM} {pytest_orchestrator.__version__}")
        parser.exit()
