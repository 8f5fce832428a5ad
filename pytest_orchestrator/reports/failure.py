"""Failure text of a step: position, evidence, log tail, command to repeat it.

At most some thirty lines whatever the step did; what it printed to stdout is shown beside
it by pytest.
"""

import json
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place, excerpt
from pytest_orchestrator.core.result import Ended, Failure, StepResult, Usage
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.reports import text as report_text

_MOST = 6
_MOST_UNMET = 20
_FEWEST_UNMET = 12
_MOST_LINES = 36
_MOST_LOGGED = 10
_STDERR = "its stderr ends with:"
_OF_A_STREAM = 3
_WIDEST_KEY = 40
_WIDEST_VALUE = 100
_LONGEST = 300


def text(
    recipe: Recipe,
    step: Step,
    result: StepResult,
    root: Path,
    here: Path,
    options: Sequence[str] = (),
) -> str:
    """Return what a person is told of a failed step.

    Args:
        recipe: The recipe; its text gives the excerpt.
        step: The step that failed.
        result: What became of it; its ``failure`` is present.
        root: The rootdir, which the path of its log is told relative to.
        here: Where pytest was started, and where its command works when pasted.
        options: Those of pytest that its verdict depends on.
    """
    failure = result.failure or Failure(kind="exception", reason="no reason is known")
    place, source = place_of(step, result), recipe.source(step)
    head = [
        f"{source.id}:{place.line}:{place.column}: {_headline(step, failure, result)}",
        "",
        *excerpt(source.text, place, before=3, first=step.line).splitlines(),
    ]
    fewest = 1 + _OF_A_STREAM if of_stderr(result, root, 1) else 0
    middle = [
        *(f"    {line}" for line in _detail(failure, logged=bool(fewest))),
        *_held(step, failure, result),
        *_tries(result),
        *_writes(result.changes),
    ]
    closing = _closing(recipe, step, result, os.path.relpath(root / recipe.id, here), options)
    room = _room(result) - len(head) - len(middle) - len(closing)
    most = max(_FEWEST_UNMET, min(_MOST_UNMET, room - 1 - fewest))
    errors = _errors(result, failure, most)
    most = max(_OF_A_STREAM, min(_MOST_LOGGED, room - 1 - len(errors)))
    stderr = of_stderr(result, root, most)
    return "\n".join([*head, *errors, *middle, *stderr, *closing])


def aftermath(
    recipe: Recipe,
    step: Step,
    result: StepResult,
    root: Path,
    here: Path,
    options: Sequence[str] = (),
) -> str:
    """Return what is told below the traceback of a step that raised something.

    Args:
        recipe: The recipe.
        step: The step.
        result: What became of it.
        root: The rootdir.
        here: Where pytest was started.
        options: Those of pytest that its verdict depends on.
    """
    closing = _closing(recipe, step, result, os.path.relpath(root / recipe.id, here), options)
    return "\n".join([*_tries(result), *_writes(result.changes), *closing])


def _closing(
    recipe: Recipe, step: Step, result: StepResult, path: str, options: Sequence[str]
) -> list[str]:
    used = [] if result.ended is None else [*_worker_line(result.ended), _used(result.ended.usage)]
    node = path + recipe.node(step.name).removeprefix(recipe.id)
    again = command(node, options)
    return [*used, f"repeat     {again}", *_alone(result)]


def _room(result: StepResult) -> int:
    """Return the lines that this may take: with what pytest shows below it, it is forty."""
    process = result.ended.process if result.ended else None
    return _MOST_LINES - (_OF_A_STREAM if process is None or process.stdout.size else 0)


def _headline(step: Step, failure: Failure, result: StepResult) -> str:
    tries = step.retry.attempts if step.retry else 1
    which = f" (try {result.attempt} of {tries})" if tries > 1 else ""
    count = len(result.unmet)
    if not _is_of_criteria(result, failure):
        return f"step '{step.name}'{which}: {failure.reason}"
    if count == 1 and result.unmet[0].is_measurement:
        return f"{result.unmet[0].name} is out of its limits after step '{step.name}'{which}"
    what = "a criterion does" if count == 1 else f"{count} of {len(result.verdicts)} criteria do"
    return f"{what} not hold after step '{step.name}'{which}"


def _errors(result: StepResult, failure: Failure, most: int) -> list[str]:
    if not _is_of_criteria(result, failure):
        return [f"E   {failure.reason}"]
    rows = [f"E   {one.told}  (line {one.place.line})" for one in result.unmet]
    return _bounded(rows, "E   … and {} more do not hold, all are in the JSON report", most)


def _is_of_criteria(result: StepResult, failure: Failure) -> bool:
    """Tell whether criteria say it all; where one alone does not hold it may be the reason."""
    match failure.kind:
        case "criterion":
            return bool(result.unmet)
        case "exit_code":
            return len(result.unmet) > 1
        case "validation":  # of a criterion, or of `abort_if` after criteria did not hold
            unmet = result.unmet
            return len(unmet) > 1 and any(one.place == failure.place for one in unmet)
        case _:
            return False


def _detail(failure: Failure, *, logged: bool) -> tuple[str, ...]:
    """Return the further lines of a failure; no end of stderr that is told with its log."""
    if logged and _STDERR in failure.detail:
        return failure.detail[: failure.detail.index(_STDERR)]
    return failure.detail


def _held(step: Step, failure: Failure, result: StepResult) -> list[str]:
    held = [] if failure.kind != "criterion" else _implied(step, result)
    held += [f"{one.name} {_short(one.wanted)}" for one in result.verdicts if one.unmet is None]
    return [f"    held: {'; '.join(_bounded(held, '{} more'))}"] if held else []


def _implied(step: Step, result: StepResult) -> list[str]:
    """Return what held that no recipe has to ask for: the exit code and the status."""
    ended = result.ended
    if ended is None:
        return []
    asked = any(one.name == "exit_code" for one in result.verdicts)
    code = ended.process.exit_code if ended.process and step.type != "python" else None
    held = [] if code is None or asked else [f"exit code {code}"]
    status = ended.value.get("status") if isinstance(ended.value, dict) else None
    if isinstance(status, str) and getattr(step, "parse", "json") in ("json", "last-line"):
        held.append(f"status {_short(status)}")
    return held


def _tries(result: StepResult) -> list[str]:
    rows = [f"    try {one.number}: {one.failure.reason}" for one in result.attempts]
    return _bounded(rows, "    … and {} more tries")


def _writes(changes: Sequence[Change]) -> list[str]:
    told = [_write(change) for change in changes[:_MOST]]
    width = min(_WIDEST_KEY, max((len(name) for name, _ in told), default=0))
    rows = [f"  {name:{width}}  {value}" for name, value in told]
    if changes[_MOST:]:
        rows.append(f"  … and {len(changes) - _MOST} more changes")
    return ["wrote to the context", *rows] if rows else []


def _write(change: Change) -> tuple[str, str]:
    """Return the key of a change with its sign, and what became of the value."""
    told = change.as_dict()
    old, new = told.get("old"), told.get("new")
    if change.op in ("append", "pop"):
        sign, value = ("+", new) if change.op == "append" else ("-", old)
        return f"{sign} {change.key}[{told.get('index')}]", _json(value)
    if change.op == "delete":
        return f"- {change.key}", _json(old)
    if old is None:
        return f"+ {change.key}", _json(new)
    return f"~ {change.key}", f"{_json(old)} -> {_json(new)}"


def _worker_line(ended: Ended) -> list[str]:
    where = ended.where
    return [] if where is None else [f"ran        on worker {where.worker} of {where.host}"]


def _used(usage: Usage) -> str:
    parts = [f"{usage.seconds:.2f} s"]
    user, system = usage.cpu_user_seconds, usage.cpu_system_seconds
    cpu = report_text.added(user, system)
    if cpu is not None:
        parts.append(f"CPU {cpu:.2f} s")
        if user is not None and system is not None:
            parts[-1] += f" (user {user:.2f}, system {system:.2f})"
    if usage.max_rss is not None:
        parts.append(f"peak {report_text.peak_megabytes(usage.as_dict())} MB")
    if usage.processes is not None and usage.processes > 1:
        parts.append(f"{usage.processes} processes")
    for word, size in (("read", usage.read_bytes), ("wrote", usage.write_bytes)):
        if size:
            parts.append(f"{word} {report_text.megabytes(size)} MB")
    return f"used       {', '.join(parts)}"


def _alone(result: StepResult) -> list[str]:
    """Return the command of a step without pytest, where there is one that can be pasted."""
    process = result.ended.process if result.ended else None
    if (
        process is not None
        and process.alone
        and process.alone.isprintable()
        and len(process.alone) <= _LONGEST
    ):
        return [f"alone      {process.alone}"]
    return []


def _bounded(rows: list[str], rest: str, most: int = _MOST) -> list[str]:
    return rows if len(rows) <= most else [*rows[:most], rest.format(len(rows) - most)]


def _short(value: Json) -> str:
    return _cut_value(value) if isinstance(value, str) else _json(value)


def _json(value: Json) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    # JSON may hold what moves a terminal's cursor: all but ASCII is escaped then.
    return _cut_value(
        shown if shown.isprintable() else json.dumps(value).replace("\x7f", "\\u007f")
    )


def _cut_value(text: str) -> str:
    return text if len(text) <= _WIDEST_VALUE else f"{text[: _WIDEST_VALUE - 1]}…"


def place_of(step: Step, result: StepResult) -> Place:
    """Return where in the recipe a failed step is to blame: at worst what it runs."""
    if result.failure and result.failure.place:
        return result.failure.place
    return next(step.at[key] for key in ("function", "class", "cmd", "") if key in step.at)


_WIDEST_LINE = 300
_KEPT_WHOLE = 1 << 16
"""Bytes up to which the text of a stream is all of it."""

_FRAME = re.compile(r'  File "(.*)", line \d+ in \S+')
_OURS = re.compile(r"/(_pytest|pluggy|pytest_orchestrator)/|^<string>$|/xdist/|^<frozen ")
_STACK = re.compile(r"(Current thread|Thread) 0x")


def of_stderr(result: StepResult, root: Path, most: int) -> list[str]:
    """Return the last lines of stderr below a line that tells where all of it is.

    Args:
        result: What became of a step.
        root: The rootdir, which the path is told relative to.
        most: Number of lines that are shown of it.

    Returns:
        Lines; none where the step had no process, or that logged nothing.
    """
    process = result.ended.process if result.ended else None
    if process is None or not process.stderr.text.strip():
        return []
    stream = process.stderr
    lines = stream.text.rstrip("\n").splitlines()
    shown = [_cut_line(line) for line in _of_the_user(lines)[-most:]]
    if stream.size > _KEPT_WHOLE:
        count = f"last {len(shown)} lines of {stream.size:,} bytes"
    elif len(shown) < len(lines):
        count = f"last {len(shown)} of {len(lines):,} lines"
    else:
        count = f"{len(lines)} line" + ("s" if len(lines) != 1 else "")
    return [f"stderr, {count}{_log_note(stream.log, root, cut=stream.cut)}", *indented(shown)]


def indented(lines: list[str]) -> list[str]:
    """Return lines two columns further to the right."""
    return [f"  {line}".rstrip() for line in lines]


def _log_note(log: str | None, root: Path, *, cut: bool) -> str:
    if log is None:
        return ""
    path = Path(log)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"   (all: {shown})" if not cut else f"   (cut: {shown})"


def _of_the_user(lines: list[str]) -> list[str]:
    """Leave out the frames of pytest and of this package that a crash of Python wrote."""
    if not any(_STACK.match(line) for line in lines):
        return lines
    return [
        line for line in lines if not ((frame := _FRAME.match(line)) and _OURS.search(frame[1]))
    ]


def _cut_line(line: str) -> str:
    return line if len(line) <= _WIDEST_LINE else f"{line[: _WIDEST_LINE - 1]}…"


OPTION: Final = "--recipe-var"
_OWN: Final = "recipe"


def command(node: str, options: Iterable[str] = ()) -> str:
    """Return a command that runs a step again, as it is pasted into a shell."""
    return shlex.join(["pytest", *options, node])


def options(told: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the options that give vars the values that they had.

    Args:
        told: Vars by name, each with ``value`` and ``origin``, as the block of a step has them.
    """
    origins = [str(one["origin"]) for one in told.values()]
    files = [one for one in dict.fromkeys(origins) if one not in (OPTION, _OWN)]
    return [f"--recipe-vars-file={one}" for one in files] + [
        f"{OPTION}={name}={_written(one['value'])}"
        for name, one in told.items()
        if one["origin"] == OPTION
    ]


def _written(value: Json) -> str:
    """Return a value as the option reads it: what is no JSON is text as it is."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)
