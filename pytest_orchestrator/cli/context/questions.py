"""What can be asked of a Context on the command line: one entry a word."""

import argparse
import json
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from pytest_orchestrator.context.context import ContextLike


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
    declare: Callable[[argparse.ArgumentParser], None]
    ask: Callable[[ContextLike, argparse.Namespace], Any]
    told: Callable[[Any], list[str]] | None = None
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
    group.add_argument("value", nargs="?", type=_json, default=NOTHING, metavar="JSON")
    # Not into the same place: a missing argument that may be missing is set after all options.
    group.add_argument("--text", metavar="TEXT", help="a text, taken as it is")


def _given(ask: argparse.Namespace) -> Any:
    return ask.value if ask.text is None else ask.text


def _key_and_number(parser: argparse.ArgumentParser) -> None:
    _key(parser)
    parser.add_argument("by", nargs="?", type=_json, default=1, metavar="BY", help="default: 1")


def _key_and_index(parser: argparse.ArgumentParser) -> None:
    _key(parser)
    parser.add_argument(
        "index", nargs="?", type=int, default=-1, metavar="INDEX", help="default: -1, the last"
    )


def _json(text: str) -> Any:
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


def _who(context: ContextLike, key: str) -> dict[str, Any]:
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
