"""Read and write a Context that is served; read that of a run, at its end or at a step.

It is served by a session, to a step, or by `serve`. Address and token come from
ORCHESTRATOR_ADDRESS and ORCHESTRATOR_TOKEN, which every step has, or from
.orchestrator/server.json in this folder or one above.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from pytest_orchestrator.cli.arguments import UsageError, with_example
from pytest_orchestrator.reports.text import say, say_json, say_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_orchestrator.context.context import ContextLike
    from pytest_orchestrator.runs.context_at import PastContext


class Question(NamedTuple):
    """One word after `ctx`.

    Attributes:
        about: What it does, in a few words.
        declare: Says which arguments it has.
        ask: Asks a Context; gives what is to be printed.
        told: Returns the lines of that as text; None where it is a value of the Context.
        changes: It changes the Context.
        example: What may follow it, for a Context in which the steps have measured.
    """

    about: str
    declare: "Callable[[argparse.ArgumentParser], None]"
    ask: "Callable[[ContextLike, argparse.Namespace], Any]"
    told: "Callable[[Any], list[str]] | None" = None
    changes: bool = False
    example: str = ""


_KNOWN: Final = "metrics.mean_v1"
NOTHING: Final = object()
"""What is given where nothing is to be printed."""


def _no_argument(_: argparse.ArgumentParser) -> None:
    return None


def _path(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="PATH", help="a key, or a way into its value")


def _key(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("key", metavar="KEY", help="a key such as metrics.mean_v1")


def _key_and_value(parser: argparse.ArgumentParser) -> None:
    _key(parser)
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument("value", nargs="?", type=_parsed_json, default=NOTHING, metavar="JSON")
    # Not into the same place: a missing argument that may be missing is set after all options.
    group.add_argument("--text", metavar="TEXT", help="a text, taken as it is")


def _given(ask: argparse.Namespace) -> Any:
    return ask.value if ask.text is None else ask.text


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
        why = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise argparse.ArgumentTypeError(
            f"{text!r} is not JSON ({why}); write --text for a text"
        ) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not in JSON")


def _done(_: None) -> object:
    return NOTHING


def _who(context: "ContextLike", key: str) -> dict[str, Any]:
    history = context.get_history(key)
    if not history:
        context[key]  # says which key is near
    last = history[-1] if history else {"ts": None, "who": None, "op": None}
    known = {name: last[name] for name in ("by", "line") if name in last}  # of a run alone
    return {"key": key, "who": last["who"], "ts": last["ts"], "op": last["op"], **known}


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _history_told(changes: list[dict[str, Any]]) -> list[str]:
    rows = []
    for change in changes:
        place = f"[{change['index']}]" if "index" in change else ""
        old = _compact(change["old"])
        new = _compact(change["new"])
        what = {"append": f"+ {new}", "pop": f"- {old}", "delete": f"- {old}"}
        shown = what.get(change["op"], f"{old} -> {new}")
        rows.append(f"{change['ts']}  {change['who']}  {change['op']}{place}  {shown}")
    return rows


def _full_told(values: dict[str, Any]) -> list[str]:
    return [f"{key} = {_compact(value)}" for key, value in values.items()]


def _who_told(last: dict[str, Any]) -> list[str]:
    step = f"  {last['by']}" if "by" in last else ""
    return [f"{last['who']}  {last['ts']}  {last['op']}{step}"]


QUESTIONS: Final[dict[str, Question]] = {
    "get": Question(
        "print the value of a path", _path, lambda ctx, ask: ctx[ask.path], example=_KNOWN
    ),
    "set": Question(
        "store a value under a key",
        _key_and_value,
        lambda ctx, ask: _done(ctx.set(ask.key, _given(ask), ask.who)),  # type: ignore[func-returns-value]
        changes=True,
        example="dut.serial_v1 --text A17",
    ),
    "append": Question(
        "add an item to the list under a key",
        _key_and_value,
        lambda ctx, ask: _done(ctx.append(ask.key, _given(ask), ask.who)),  # type: ignore[func-returns-value]
        changes=True,
        example="metrics.readings_v1 41.3",
    ),
    "increment": Question(
        "add to the number under a key, and print the sum",
        _key_and_number,
        lambda ctx, ask: ctx.increment(ask.key, ask.by, ask.who),
        changes=True,
        example="metrics.polls_v1",
    ),
    "delete": Question(
        "remove a key and its value",
        _key,
        lambda ctx, ask: _done(ctx.delete(ask.key, ask.who)),  # type: ignore[func-returns-value]
        changes=True,
        example="dut.serial_v1",
    ),
    "pop": Question(
        "remove an item from the list under a key, and print it",
        _key_and_index,
        lambda ctx, ask: ctx.pop(ask.key, ask.index, ask.who),
        changes=True,
        example="metrics.readings_v1",
    ),
    "full": Question("print all values", _no_argument, lambda ctx, _: ctx.to_dict(), _full_told),
    "keys": Question("print all keys", _no_argument, lambda ctx, _: ctx.keys(), list),
    "history": Question(
        "print all changes of a key, oldest first",
        _key,
        lambda ctx, ask: ctx.get_history(ask.key),
        _history_told,
        example=_KNOWN,
    ),
    "who": Question(
        "print who changed a key last, and when",
        _key,
        lambda ctx, ask: _who(ctx, ask.key),
        _who_told,
        example=_KNOWN,
    ),
}

EXAMPLE = "ctx get metrics.mean_v1"

_SCRIPT = Path(__file__).parents[1] / "templates" / "update_state.sh"


def declare(parser: argparse.ArgumentParser) -> None:
    """Say which arguments there are."""
    declare_run_options(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, on one line")
    words = parser.add_subparsers(metavar="WORD", dest="word")
    for name, question in QUESTIONS.items():
        told = f"{question.about[0].upper()}{question.about[1:]}."
        example = with_example(f"ctx {name} {question.example}".rstrip())
        one = words.add_parser(name, help=question.about, description=told, **example)
        one.set_defaults(parser=one)
        question.declare(one)
        declare_run_options(one, default=argparse.SUPPRESS)
        one.add_argument("--json", action="store_true", default=argparse.SUPPRESS)
        one.add_argument("--address", metavar="ADDRESS", help="host:port, or path of a Unix socket")
        one.add_argument(
            "--who", metavar="NAME", help="who changes it (default: whose token it is)"
        )
    words.add_parser(
        "script",
        help="print update_state.sh, which asks the same in plain bash",
        **with_example("ctx script"),
    )
    diff = words.add_parser(
        "diff",
        help="print how the Contexts of two runs differ",
        **with_example("ctx diff 20261125T101502Z-7f3a latest"),
    )
    declare_diff(diff)
    diff.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Ask it."""
    from pytest_orchestrator.core.errors import OrchestratorError

    if args.word == "script":
        sys.stdout.write(_SCRIPT.read_text(encoding="utf-8"))
        return 0
    if args.word == "diff":
        found = difference(args)
        if args.json:
            say_json(found, None)
        else:
            say(*difference_told(found))
        return 1 if found else 0
    if args.word is None and args.run is None:
        raise UsageError(f"say what: {', '.join(QUESTIONS)}, diff, script")
    question = QUESTIONS[args.word or "full"]
    try:
        answer = _of_run(question, args) if args.run else _served(question, args)
    except OrchestratorError as error:
        say(f"pytest-orchestrator ctx: {error}", err=True)
        return 2 if error.slug == "context-unreachable" else 1
    if answer is not NOTHING:
        _print(question, answer, as_json=args.json)
    return 0


def _print(question: "Question", answer: Any, *, as_json: bool) -> None:
    if as_json:
        say_json(answer, None)
    elif question.told is not None:
        say(*question.told(answer))
    elif isinstance(answer, str):
        say_value(answer)
    else:
        say(json.dumps(answer, ensure_ascii=False))


def _served(question: "Question", args: argparse.Namespace) -> Any:
    from pytest_orchestrator.context.rpc.client import RemoteContext

    for name in ("before", "after", "recipe"):
        if getattr(args, name):
            raise UsageError(f"--{name} is about a run; name it by --run")
    with RemoteContext.connect(args.address) as context:
        return question.ask(context, args)


def _of_run(question: "Question", args: argparse.Namespace) -> Any:

    if question.changes:
        raise UsageError(f"what was is not changed: '{args.word}' needs a Context that is served")
    return question.ask(cast("ContextLike", context_of(args)), args)


_OPTIONS = {
    "--before": ("STEP", "of a run: as the step found it"),
    "--after": ("STEP", "of a run: as the step left it"),
    "--recipe": ("RECIPE", "of a run: the own Context of a recipe, by its path"),
}


def declare_run_options(parser: argparse.ArgumentParser, **more: Any) -> None:
    """Declare what says which Context of which run is meant.

    Args:
        parser: Of the verb, or of one of its words.
        more: What all of these arguments have.
    """
    from pytest_orchestrator.cli import run_selection

    about = f"ask the Context of {run_selection.ONE}"
    run_selection.declare_run(parser, "--run", metavar="RUN", help=about, **more)
    for name, (metavar, told) in _OPTIONS.items():
        parser.add_argument(name, metavar=metavar, help=told, **more)


def declare_diff(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `diff`."""
    from pytest_orchestrator.cli import run_selection

    run_selection.declare_run(parser, "a", metavar="RUN_A")
    run_selection.declare_run(parser, "b", metavar="RUN_B")


def context_of(args: argparse.Namespace) -> "PastContext":
    """Return the Context that is meant.

    Raises:
        Mistake: There is no such run or step, or two moments of it are meant.
    """
    from pytest_orchestrator.cli import run_selection
    from pytest_orchestrator.core.suggestions import nearest
    from pytest_orchestrator.runs.context_at import NoStep, PastContext, at_step

    found = run_selection.run_record(args.run)
    if args.before and args.after:
        raise UsageError("--before and --after are two moments; name one")
    if args.before or args.after:
        try:
            return at_step(found, args.before or args.after, after=bool(args.after))
        except NoStep as error:
            raise UsageError(str(error)) from None
    scopes = found.changes.scopes
    if args.recipe and args.recipe not in scopes:
        own = [scope for scope in scopes if scope]
        there = nearest(args.recipe, own) or f"; there is {', '.join(own) or 'none'}"
        raise UsageError(f"no recipe '{args.recipe}' with a Context of its own{there}")
    return PastContext(found.changes, args.recipe or "")


def difference(args: argparse.Namespace) -> list[dict[str, Any]]:
    """Return each key whose value at the end of two runs is another.

    Raises:
        Mistake: There is no such run.
    """
    from pytest_orchestrator.cli import run_selection
    from pytest_orchestrator.runs.compare.comparison import context_difference

    return list(
        context_difference(run_selection.run_record(args.a), run_selection.run_record(args.b))
    )


def difference_told(found: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a difference, one a key."""
    from pytest_orchestrator.cli.verbs.compare import of_key
    from pytest_orchestrator.reports.text import aligned

    return list(aligned([of_key(one) for one in found])) or ["no difference"]
