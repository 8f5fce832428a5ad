"""Standalone runner: runs a scriptlet as a program that prints one JSON object."""

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

_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_GOOD = ("ok", "success", "skip")
_CURE = 'return a mapping with a status, such as {"status": "ok"}'


def main(target: object, argv: Sequence[str] | None = None) -> NoReturn:
    """Run a scriptlet as a program, and exit with its exit code.

    Args:
        target: A class with a method `run`, or a function.
        argv: Arguments; default: those of the process. ``--params JSON`` or
            ``--params-file FILE``, and ``--context JSON``: the initial keys and values of the
            Context.

    Raises:
        SystemExit: With the code that `run_alone` returns.
    """
    sys.exit(run_alone(target, argv))


def run_alone(target: object, argv: Sequence[str] | None = None) -> int:
    """Run a scriptlet once and print its result as one JSON object.

    Output of the scriptlet and of its child processes goes to stderr.

    Args:
        target: A class with a method `run`, or a function.
        argv: As for `main`.

    Returns:
        0 if the status is ok, success or skip. 1 for any other status and for arguments that
        cannot be read, with a message on stderr.
    """
    name = getattr(target, "__name__", "scriptlet")
    try:
        params, ctx = _params_and_context(target, name, argv)
    except SystemExit:  # argparse raises it after --help
        return 0
    except _Unreadable as error:
        sys.stderr.write(f"{name}: {error}\n")
        reason = str(error).partition("\n")[0]
        sys.stdout.write(f"{json.dumps({'status': 'error', 'reason': reason})}\n")
        return 1
    with _stdout_to_stderr(sys.stdout) as out:
        try:
            result = _result(call(target, ctx, params))
            problem = _status_problem(result)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  # includes pytest's skip and fail
            problem = _error_text(error)
            result = {"status": "error", "reason": problem}
        if problem:
            sys.stderr.write(f"{name}: {problem}\n")
    out.write(f"{json.dumps(result)}\n")
    out.flush()
    return 1 if problem else 0


class _Unreadable(Exception):
    """Error in the command-line arguments of a scriptlet."""


class _Parser(argparse.ArgumentParser):
    """Argument parser that raises an error instead of ending the process."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        raise _Unreadable(message)


def _params_and_context(
    target: object, name: str, argv: Sequence[str] | None
) -> tuple[dict[str, Any], Context]:
    parser = _Parser(
        description=getattr(sys.modules.get(target.__module__), "__doc__", None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--params", type=_mapping, default={}, metavar="JSON")
    group.add_argument("--params-file", type=_mapping_in, dest="params", metavar="FILE")
    parser.add_argument("--context", type=_mapping, default={}, metavar="JSON")
    options = parser.parse_args(argv)
    ctx = Context(name)
    try:
        for key, value in options.context.items():
            ctx.set(key, value, who="--context")
    except OrchestratorError as error:
        parser.error(f"argument --context: {error}")
    return options.params, ctx


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
        raise argparse.ArgumentTypeError(f"a JSON object is expected, not {kind(copy)}")
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
def _stdout_to_stderr(out: TextIO) -> Iterator[TextIO]:
    """Redirect `sys.stdout` and file descriptor 1 to stderr; yield the original stdout."""
    out.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    try:
        yield out
    finally:
        out.flush()  # the scriptlet may have written to the original file object
        os.dup2(saved, 1)
        os.close(saved)
        sys.stdout = out


def _result(returned: object) -> dict[str, Any]:
    if inspect.iscoroutine(returned):
        returned.close()  # prevents the warning that it was never awaited
    if not isinstance(returned, Mapping):
        raise NotJson(f"returned {kind(returned)}; {_CURE}")
    result = json_copy(dict(returned), "result")
    return result if isinstance(result, dict) else {}


def _status_problem(result: dict[str, Any]) -> str:
    """Return the reason why a result is not a success, or '' for a success."""
    if "status" not in result:
        return f"the result has no status; {_CURE}"
    if result["status"] in _GOOD:
        return ""
    reason = result.get("reason")
    return f"status {result['status']!r}" + (f": {reason}" if reason else ", no reason given")


def _error_text(error: BaseException) -> str:
    """Return one line that describes an error; print the frames of the user's code, if any."""
    if isinstance(error, SystemExit):
        return f"sys.exit({error.code!r}) was called; {_CURE}"
    if isinstance(error, ValidationFailed):
        _print_users_frames(error.__cause__)
        return str(error)
    is_users = _print_users_frames(error)
    return f"{type(error).__name__}: {error}" if is_users else str(error)


def _print_users_frames(error: BaseException | None) -> bool:
    """Print a traceback without the frames of this package; return False if no frame remains."""
    if error is None:
        return False
    report = traceback.TracebackException.from_exception(error)
    each: traceback.TracebackException | None = report
    while each is not None:
        each.stack[:] = [frame for frame in each.stack if not frame.filename.startswith(_PACKAGE)]
        each = each.__cause__ or each.__context__
    if report.stack:
        sys.stderr.write("".join(report.format()))
    return bool(report.stack)
