"""Read and write a live Context, or read the Context of a past run.

A session (--recipe-serve), a running step or `serve` provides the live Context. Address and token
come from ORCHESTRATOR_ADDRESS and ORCHESTRATOR_TOKEN, which every step has, or from
.orchestrator/server.json in this folder or one above.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from pytest_orchestrator.cli.arguments import (
    UsageError,
    declare_wide,
    nearest_of,
    width_of,
    with_example,
)
from pytest_orchestrator.reports.terminal.lines import Column, Table
from pytest_orchestrator.reports.text import say, say_json, say_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_orchestrator.context.context import ContextLike
    from pytest_orchestrator.runs.changes import PastContext


class Operation(NamedTuple):
    """A subcommand of `ctx`.

    Attributes:
        about: Its description in help, in a few words.
        declare: Declares its arguments.
        apply: Applies it to a Context and returns the result to print.
        lines: Formats the result as lines for the columns of a screen, or without a limit for None;
            None if the result is a value of the Context.
        changes: True if it changes the Context.
        example: Arguments of an example for its help.
    """

    about: str
    declare: "Callable[[argparse.ArgumentParser], None]"
    apply: "Callable[[ContextLike, argparse.Namespace], Any]"
    lines: "Callable[[Any, int | None], Iterable[str]] | None" = None
    changes: bool = False
    example: str = ""


_KNOWN: Final = "metrics.mean_v1"
NOTHING: Final = object()
"""Result of an operation that prints nothing."""


def _no_argument(_: argparse.ArgumentParser) -> None:
    return None


def _path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a key, or a path into its value")


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="a key such as metrics.mean_v1")


def _key_and_value(parser: argparse.ArgumentParser) -> None:
    _key(parser)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("value", nargs="?", type=_parsed_json, default=NOTHING, metavar="JSON")
    # Another destination: argparse sets the default of a missing optional argument after options.
    group.add_argument(
        "--text", metavar="TEXT", help="store this text as it is, without parsing it as JSON"
    )


def _new_value(args: argparse.Namespace) -> Any:
    return args.value if args.text is None else args.text


def _key_and_number(parser: argparse.ArgumentParser) -> None:
    _key(parser)
    parser.add_argument(
        "by", nargs="?", type=_parsed_json, default=1, metavar="BY", help="default: 1"
    )


def _key_and_index(parser: argparse.ArgumentParser) -> None:
    _key(parser)
    parser.add_argument(
        "index", nargs="?", type=int, default=-1, metavar="INDEX", help="default: -1, the last"
    )


def _parsed_json(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise argparse.ArgumentTypeError(
            f"{text!r} is not JSON ({reason}); write --text for a text"
        ) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not in JSON")


def _done(_: None) -> object:
    return NOTHING


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


_CHANGE: Final = (
    Column(kind="text"),
    Column(kind="name"),
    Column(),
    Column(kind="text"),
)
_VALUE: Final = (Column(kind="text"),)


def _history_lines(changes: list[dict[str, Any]], width: int | None) -> "Iterable[str]":
    rows = []
    for change in changes:
        place = f"[{change['index']}]" if "index" in change else ""
        old = _compact(change["old"])
        new = _compact(change["new"])
        texts = {"append": f"+ {new}", "pop": f"- {old}", "delete": f"- {old}"}
        shown = texts.get(change["op"], f"{old} -> {new}")
        rows.append((change["ts"], change["who"], f"{change['op']}{place}", shown))
    return Table(_CHANGE, rows, width).texts()


def _full_lines(values: dict[str, Any], width: int | None) -> "Iterable[str]":
    rows = [(f"{key} = {_compact(value)}",) for key, value in values.items()]
    return Table(_VALUE, rows, width).texts()


def _keys(keys: list[str], _: int | None) -> "Iterable[str]":
    return keys


OPERATIONS: Final[dict[str, Operation]] = {
    "get": Operation(
        "print the value of a path", _path, lambda ctx, args: ctx[args.path], example=_KNOWN
    ),
    "set": Operation(
        "store a value under a key",
        _key_and_value,
        lambda ctx, args: _done(ctx.set(args.key, _new_value(args), args.who)),  # type: ignore[func-returns-value]
        changes=True,
        example="dut.serial_v1 --text A17",
    ),
    "append": Operation(
        "add an item to the list under a key",
        _key_and_value,
        lambda ctx, args: _done(ctx.append(args.key, _new_value(args), args.who)),  # type: ignore[func-returns-value]
        changes=True,
        example="metrics.readings_v1 41.3",
    ),
    "increment": Operation(
        "add to the number under a key, and print the sum",
        _key_and_number,
        lambda ctx, args: ctx.increment(args.key, args.by, args.who),
        changes=True,
        example="metrics.polls_v1",
    ),
    "delete": Operation(
        "remove a key and its value",
        _key,
        lambda ctx, args: _done(ctx.delete(args.key, args.who)),  # type: ignore[func-returns-value]
        changes=True,
        example="dut.serial_v1",
    ),
    "pop": Operation(
        "remove an item from the list under a key, and print it",
        _key_and_index,
        lambda ctx, args: ctx.pop(args.key, args.index, args.who),
        changes=True,
        example="metrics.readings_v1",
    ),
    "full": Operation("print all values", _no_argument, lambda ctx, _: ctx.to_dict(), _full_lines),
    "keys": Operation("print all keys", _no_argument, lambda ctx, _: ctx.keys(), _keys),
    "history": Operation(
        "print all changes of a key, oldest first",
        _key,
        lambda ctx, args: ctx.get_history(args.key),
        _history_lines,
        example=_KNOWN,
    ),
}

EXAMPLE = "ctx get metrics.mean_v1"

_SCRIPT = Path(__file__).parents[1] / "templates" / "update_state.sh"


def declare(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the command."""
    declare_run_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, on one line")
    declare_wide(parser)
    commands = parser.add_subparsers(metavar="COMMAND", dest="word")
    for name, operation in OPERATIONS.items():
        description = f"{operation.about[0].upper()}{operation.about[1:]}."
        example = with_example(f"ctx {name} {operation.example}".rstrip())
        command = commands.add_parser(
            name, help=operation.about, description=description, **example
        )
        command.set_defaults(parser=command)
        operation.declare(command)
        declare_run_options(command, default=argparse.SUPPRESS)
        command.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        declare_wide(command, default=argparse.SUPPRESS)
        command.add_argument(
            "--address", metavar="ADDRESS", help="host:port, or path of a Unix socket"
        )
        command.add_argument(
            "--who",
            metavar="NAME",
            help="author that is recorded with a change (default: the owner of the token)",
        )
    commands.add_parser(
        "script",
        help="print update_state.sh, which does the same in plain bash",
        **with_example("ctx script"),
    )


def run(args: argparse.Namespace) -> int:
    """Run the operation and print its result."""
    from pytest_orchestrator.core.errors import OrchestratorError

    if args.word == "script":
        sys.stdout.write(_SCRIPT.read_text(encoding="utf-8"))
        return 0
    if args.word is None and args.run is None:
        raise UsageError(f"name a command: {', '.join(OPERATIONS)}, script")
    operation = OPERATIONS[args.word or "full"]
    try:
        result = _apply(operation, args)
    except OrchestratorError as error:
        say(f"pytest-orchestrator ctx: {error}", err=True)
        return 2 if error.slug == "context-unreachable" else 1
    if result is not NOTHING:
        _print(operation, result, args)
    return 0


def _print(operation: Operation, result: Any, args: argparse.Namespace) -> None:
    if args.json:
        say_json(result, None)
    elif operation.lines is not None:
        say(*operation.lines(result, width_of(args)))
    elif isinstance(result, str):
        say_value(result)
    else:
        say(json.dumps(result, ensure_ascii=False))


def _apply(operation: Operation, args: argparse.Namespace) -> Any:
    if args.run is None:
        return _apply_to_live(operation, args)
    return _apply_to_run(operation, args)


def _apply_to_live(operation: Operation, args: argparse.Namespace) -> Any:
    from pytest_orchestrator.context.rpc.client import RemoteContext

    if args.recipe:
        raise UsageError("--recipe needs a run; add --run RUN")
    with RemoteContext.connect(args.address) as context:
        return operation.apply(context, args)


def _apply_to_run(operation: Operation, args: argparse.Namespace) -> Any:
    if operation.changes:
        raise UsageError(
            f"a past run cannot be changed: '{args.word}' needs a live Context "
            "(`serve`, `--recipe-serve`)"
        )
    return operation.apply(cast("ContextLike", context_of(args)), args)


def declare_run_options(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Declare the options that select the Context of a past run.

    Args:
        parser: The parser of `ctx`, or of one of its subcommands.
        more: Keyword arguments of every option.
    """
    from pytest_orchestrator.cli.project import ONE_RUN, declare_run

    about = f"read the Context of {ONE_RUN}"
    declare_run(parser, "--run", metavar="RUN", help=about, **more)
    description = "with --run: the Context of its own that this recipe has, by its path"
    parser.add_argument("--recipe", metavar="RECIPE", help=description, **more)


def context_of(args: argparse.Namespace) -> "PastContext":
    """Return the Context of a past run that the options select.

    Raises:
        UsageError: The run or the recipe does not exist.
    """
    from pytest_orchestrator.cli.project import run_record
    from pytest_orchestrator.runs.changes import PastContext

    record = run_record(args.run)
    scopes = record.changes.scopes
    if args.recipe and args.recipe not in scopes:
        own = [scope for scope in scopes if scope]
        hint = nearest_of(args.recipe, own)
        raise UsageError(f"no recipe '{args.recipe}' with a Context of its own{hint}")
    return PastContext(record.changes, args.recipe or "")
