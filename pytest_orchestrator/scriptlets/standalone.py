"""Standalone runner: a scriptlet as a program that prints one JSON object."""

import argparse
import inspect
import json
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TextIO

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import OrchestratorError
from pytest_orchestrator.core.json_values import NotJson, json_copy, kind
from pytest_orchestrator.core.location import Place, excerpt
from pytest_orchestrator.scriptlets.call import ValidationFailed, call

_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_GOOD = ("ok", "success", "skip")
_CURE = 'return a mapping with a status, such as {"status": "ok"}'


def main(target: object, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a scriptlet as a program, and end with its exit code.

    Args:
        target: A class with a `run`, or a function.
        argv: Arguments; default: those of the process. ``--params JSON`` or
            ``--params-file FILE``, and ``--context JSON``: keys and values that the Context
            has at the beginning.

    Raises:
        SystemExit: With the code of `run_alone`.
    """
    sys.exit(run_alone(target, argv))


def run_alone(target: object, argv: Sequence[str] | None = None) -> int:
    """Run a scriptlet once and print what it returned as one JSON object.

    What it prints itself, by child processes too, goes to stderr.

    Args:
        target: A class with a `run`, or a function.
        argv: As for `main`.

    Returns:
        0 where the status is ok, success or skip; 1 where it is not or the arguments
        cannot be read, with a message on stderr.
    """
    name = getattr(target, "__name__", "scriptlet")
    try:
        asked, ctx = _asked(target, name, argv)
    except SystemExit:  # how argparse ends after --help
        return 0
    except _Unreadable as error:
        sys.stderr.write(f"{name}: {error}\n")
        reason = str(error).partition("\n")[0]
        sys.stdout.write(f"{json.dumps({'status': 'error', 'reason': reason})}\n")
        return 1
    with _only_ours(sys.stdout) as out:
        try:
            answer = _answer(call(target, ctx, asked))
            wrong = _wrong_status(answer)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # pytest's own, such as skip, among them
            wrong = _told(error)
            answer = {"status": "error", "reason": wrong}
        if wrong:
            sys.stderr.write(f"{name}: {wrong}\n")
    out.write(f"{json.dumps(answer)}\n")
    out.flush()
    return 1 if wrong else 0


class _Unreadable(Exception):
    """Arguments that cannot be read."""


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong, and leaves the end of the process to the caller."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise _Unreadable(message)


def _asked(target: object, name: str, argv: Sequence[str] | None) -> tuple[dict[str, Any], Context]:
    parser = _Parser(
        description=getattr(sys.modules.get(target.__module__), "__doc__", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    params = parser.add_mutually_exclusive_group()
    params.add_argument("--params", type=_mapping, default={}, metavar="JSON")
    params.add_argument("--params-file", type=_mapping_in, dest="params", metavar="FILE")
    parser.add_argument("--context", type=_mapping, default={}, metavar="JSON")
    asked = parser.parse_args(argv)
    ctx = Context(name)
    try:
        for key, value in asked.context.items():
            ctx.set(key, value, who="--context")
    except OrchestratorError as error:
        parser.error(f"argument --context: {error}")
    return asked.params, ctx


def _mapping(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse)
        copy = json_copy(value, "value")
    except json.JSONDecodeError as error:
        raise argparse.ArgumentTypeError(
            f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}\n"
            + excerpt(text, Place(error.lineno, error.colno))
        ) from None
    except (RecursionError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"not JSON: {error}") from None
    if not isinstance(copy, dict):
        raise argparse.ArgumentTypeError(f"a JSON object is wanted, not {kind(copy)}")
    return copy


def _mapping_in(path: str) -> dict[str, Any]:
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    try:
        return _mapping(text)
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{path}: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} is there twice")
    return mapping


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


@contextmanager
def _only_ours(out: TextIO) -> Iterator[TextIO]:
    """Keep stdout for ourselves: file descriptor 1 is stderr meanwhile."""
    out.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield out
    finally:
        out.flush()  # who has it by another name has written into its buffer
        os.dup2(kept, 1)
        os.close(kept)
        sys.stdout = out


def _answer(given: object) -> dict[str, Any]:
    if inspect.iscoroutine(given):
        given.close()  # so that nobody is warned that it was never awaited
    if not isinstance(given, Mapping):
        raise NotJson(f"returned {kind(given)}; {_CURE}")
    answer = json_copy(dict(given), "result")
    return answer if isinstance(answer, dict) else {}


def _wrong_status(answer: dict[str, Any]) -> str:
    """Say why an answer is no success, or nothing where it is."""
    if "status" not in answer:
        return f"the result has no status; {_CURE}"
    if answer["status"] in _GOOD:
        return ""
    reason = answer.get("reason")
    return f"status {answer['status']!r}" + (f": {reason}" if reason else ", no reason given")


def _told(error: BaseException) -> str:
    """Say in one line what went wrong, after the user's frames where it came from there."""
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) was called; {_CURE}"
    if isinstance(error, ValidationFailed):
        _print_users_frames(error.__cause__)
        return str(error)
    is_users = _print_users_frames(error)
    return f"{type(error).__name__}: {error}" if is_users else str(error)


def _print_users_frames(error: BaseException | None) -> bool:
    """Print a traceback without frames of ours, or nothing where no other is in it."""
    if error is None:
        return False
    told = traceback.TracebackException.from_exception(error)
    one: traceback.TracebackException | None = told
    while one is not None:
        one.stack[:] = [frame for frame in one.stack if not frame.filename.startswith(_OURS)]
        one = one.__cause__ or one.__context__
    if told.stack:
        sys.stderr.write("".join(told.format()))
    return bool(told.stack)
