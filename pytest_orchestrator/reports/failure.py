"""Failure text of a step: position, evidence, log tail, command to run it again.

It has at most about thirty lines. pytest shows the stdout of the step below it.
"""

import json
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place, excerpt
from pytest_orchestrator.core.result import Ended, Failure, Measurement, Resources, StepResult
from pytest_orchestrator.core.text import cut_to_length, lazy_pattern, one_line
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Source, Step
from pytest_orchestrator.reports import text as report_text
from pytest_orchestrator.reports.quantities import quantity, range_text
from pytest_orchestrator.runs.block import plain

_COLOURS = lazy_pattern(r"\\x1b\[(?:[0-9;]*m|[0-2]?K)")
_OVERWRITTEN = lazy_pattern(r"[^\n]*\\x0d(?=[^\n])|\\x0d(?=\n|\Z)")
_MOST = 6
_MOST_UNMET = 20
_FEWEST_UNMET = 12
_MOST_LINES = 36
_MOST_STREAM_LINES = 10
_STDERR = "its stderr ends with:"
_FEWEST_STREAM_LINES = 3
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
    """Return the failure text of a step.

    Args:
        recipe: The recipe; the excerpt comes from its text.
        step: The step that failed.
        result: Result of the step, with a ``failure``.
        root: The rootdir, to which the path of the log is relative.
        here: The folder in which pytest was started; the printed command is to be run there.
        options: The options of pytest on which the verdict depends.
    """
    result = _with_element(result)
    failure = result.failure or Failure(kind="exception", reason="no reason is known")
    place, source = place_of(step, result), source_of(recipe, step, result)
    head = [
        f"{source.id}:{place.line}:{place.column}: {_headline(step, failure, result)}",
        "",
        *excerpt(source.text, place, before=3, first=step.line).splitlines(),
    ]
    fewest = 1 + _FEWEST_STREAM_LINES if of_stderr(result, root, 1) else 0
    middle = [
        *(f"    {line}" for line in _detail(failure, logged=bool(fewest))),
        *_passed_checks(step, failure, result),
        *_attempts(result),
        *_elements(result),
        *_writes(result.changes),
        *_bounded(_warnings(failure, result), "    {} more warnings"),
    ]
    closing = _closing(recipe, step, result, os.path.relpath(root / recipe.id, here), options)
    room = _room(result) - len(head) - len(middle) - len(closing)
    most = max(_FEWEST_UNMET, min(_MOST_UNMET, room - 1 - fewest))
    errors = _error_lines(result, failure, most)
    most = max(_FEWEST_STREAM_LINES, min(_MOST_STREAM_LINES, room - 1 - len(errors)))
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
    """Return the text below the traceback of a step that raised an exception.

    Args:
        recipe: The recipe.
        step: The step.
        result: Its result.
        root: The rootdir.
        here: The folder in which pytest was started.
        options: The options of pytest on which the verdict depends.
    """
    closing = _closing(recipe, step, result, os.path.relpath(root / recipe.id, here), options)
    rows = [*_attempts(_with_element(result)), *_elements(result), *_writes(result.changes)]
    return "\n".join([*rows, *closing])


def _with_element(result: StepResult) -> StepResult:
    """Return a result with the evidence of the element of ``foreach`` that made the step fail."""
    element = result.failed_element
    if element is None or result.ended is None:
        return result
    own = element.result
    ended = own.ended and msgspec.structs.replace(own.ended, usage=result.ended.usage)
    return msgspec.structs.replace(
        own,
        failure=result.failure,
        ended=ended or result.ended,
        changes=result.changes,
        elements=result.elements,
    )


def _elements(result: StepResult) -> list[str]:
    """Return a line for each element of ``foreach`` that did not pass, after one with the counts.

    Elements whose step code did not run are only counted.
    """
    elements = result.elements or ()
    failed = [one for one in elements if one.result.failure is not None]
    if not failed:
        return []
    counts = Counter[str](one.state for one in elements)
    shown = [state for state in ("failed", "interrupted", "not run") if counts[state]]
    parts = [f"{counts[state]:,} {state}" for state in shown]
    parts[0] = f"{counts[shown[0]]:,} of {len(elements):,} {shown[0]}"
    head = f"elements   {', '.join(parts)}"
    if len(failed) == 1 and result.failure and result.failure.exception is None:
        return [head]  # the first line of the text has its reason
    rows = [f"  {one.label}: {one.result.failure.reason}" for one in failed if one.result.failure]
    return [head, *_bounded([cut_to_length(row, _LONGEST) for row in rows], "  … and {} more")]


def _closing(
    recipe: Recipe, step: Step, result: StepResult, path: str, options: Sequence[str]
) -> list[str]:
    used = (
        []
        if result.ended is None
        else [*_worker_line(result.ended), _resources_line(result.ended.usage)]
    )
    node = path + recipe.node(step.name).removeprefix(recipe.id)
    if step.is_sampler:  # it is no item: its recipe runs again
        used, node = [_samples_line(result)], path
    return [*used, f"rerun      {command(node, options)}", *_command_line(result)]


def _room(result: StepResult) -> int:
    """Return the maximum number of lines of the text, less if pytest shows output below it."""
    process = result.ended.process if result.ended else None
    return _MOST_LINES - (_FEWEST_STREAM_LINES if process is None or process.stdout.size else 0)


def _headline(step: Step, failure: Failure, result: StepResult) -> str:
    attempts = step.retry.attempts if step.retry else 1
    which = f" (attempt {result.attempt} of {attempts})" if attempts > 1 else ""
    count, element = len(result.unmet), result.failed_element
    if element is not None and _is_of_criteria(result, failure):
        which = f", element {element.label}{which}"
    if not _is_of_criteria(result, failure):
        kind = "sampling" if step.is_sampler else "step"
        return f"{kind} '{step.name}'{which}: {failure.reason}"
    if count == 1 and result.unmet[0].is_measurement:
        name = result.unmet[0].name
        unset = [one.name for one in result.measurements if one.verdict == "unset"]
        texts = [one.name for one in result.measurements if _has_no_number(one)]
        what = "has no number" if name in texts else "is out of its limits"
        what = "was not measured" if name in unset else what
        return f"{name} {what} after step '{step.name}'{which}"
    checks = "a check" if count == 1 else f"{count} of {len(result.verdicts)} checks"
    return f"{checks} failed after step '{step.name}'{which}"


def _has_no_number(measured: Measurement) -> bool:
    """Return True if a measurement has limits, and its value cannot be compared with them."""
    is_number = measured.margin is not UNSET or isinstance(measured.value, int | float)
    return not is_number and (measured.low, measured.high) != (UNSET, UNSET)


def _error_lines(result: StepResult, failure: Failure, most: int) -> list[str]:
    notes = [f"E   {note}" for note in failure.notes]
    if not _is_of_criteria(result, failure):
        return [f"E   {failure.reason}", *notes]
    rows = [f"E   {unmet.description}  (line {unmet.place.line})" for unmet in result.unmet]
    return [*_bounded(rows, "E   … and {} more failed, the JSON report has all", most), *notes]


def _is_of_criteria(result: StepResult, failure: Failure) -> bool:
    """Return True if the unmet criteria describe the failure completely.

    With a single unmet criterion, the reason of an `exit_code` or `validation` failure already
    contains it.
    """
    match failure.kind:
        case "criterion":
            return bool(result.unmet)
        case "exit_code":
            return len(result.unmet) > 1
        case "validation":  # of a criterion, or of `abort_if` after unmet criteria
            unmet = result.unmet
            return len(unmet) > 1 and any(each.place == failure.place for each in unmet)
        case _:
            return False


def _detail(failure: Failure, *, logged: bool) -> tuple[str, ...]:
    """Return the detail of a failure; omit the end of stderr if the log is shown anyway."""
    if logged and _STDERR in failure.detail:
        return failure.detail[: failure.detail.index(_STDERR)]
    return failure.detail


def _passed_checks(step: Step, failure: Failure, result: StepResult) -> list[str]:
    implied = failure.kind == "criterion" and not step.is_sampler
    held = _implied(step, result) if implied else []
    measured = {measurement.name: measurement for measurement in result.measurements}
    for verdict in result.verdicts:
        if verdict.unmet is None:
            expected = (
                _limits(measured[verdict.name])
                if verdict.is_measurement
                else _short(verdict.expected)
            )
            held.append(f"{verdict.name} {expected}".rstrip())
    return [f"    also checked, OK: {'; '.join(_bounded(held, '{} more'))}"] if held else []


def _limits(measured: Measurement) -> str:
    """Return the limits of a measurement with their unit; empty if there are none."""
    texts = quantity(measured)
    low, high = texts.low, texts.high
    if measured.equals is not UNSET:
        text = f"= {_short(measured.equals)}"
    elif measured.matches is not UNSET:
        text = f"matches {_short(measured.matches)}"
    elif low and high:
        text = f"{low}…{high}"
    elif low or high:
        text = f"≥ {low}" if low else f"≤ {high}"
    else:
        return ""
    note = " (marginal)" if measured.marginal else ""
    unit = texts.unit if low or high else measured.unit or ""
    return f"{text} {unit}".rstrip() + note


def _implied(step: Step, result: StepResult) -> list[str]:
    """Return the implicit checks that passed: the exit code and the status."""
    ended = result.ended
    if ended is None:
        return []
    is_explicit = any(verdict.name == "exit_code" for verdict in result.verdicts)
    code = ended.process.exit_code if ended.process and step.type != "python" else None
    held = [] if code is None or is_explicit else [f"exit code {code}"]
    status = ended.value.get("status") if isinstance(ended.value, dict) else None
    if isinstance(status, str) and getattr(step, "parse", "json") in ("json", "last-line"):
        held.append(f"status {_short(status)}")
    return held


def _attempts(result: StepResult) -> list[str]:
    rows = [f"    attempt {each.number}: {each.failure.reason}" for each in result.attempts]
    return _bounded(rows, "    … and {} more attempts")


def _writes(changes: Sequence[Change]) -> list[str]:
    writes = [_write(change) for change in changes[:_MOST]]
    width = min(_WIDEST_KEY, max((len(name) for name, _ in writes), default=0))
    rows = [f"  {name:{width}}  {value}" for name, value in writes]
    if changes[_MOST:]:
        rows.append(f"  … and {len(changes) - _MOST} more changes")
    return ["context keys written", *rows] if rows else []


def _write(change: Change) -> tuple[str, str]:
    """Return two cells for a change: its sign and key, and its values."""
    fields = change.as_dict()
    old, new = fields.get("old"), fields.get("new")
    if change.op in ("append", "pop"):
        sign, value = ("+", new) if change.op == "append" else ("-", old)
        return f"{sign} {change.key}[{fields.get('index')}]", _json(value)
    if change.op == "delete":
        return f"- {change.key}", _json(old)
    if old is None:
        return f"+ {change.key}", _json(new)
    return f"~ {change.key}", f"{_json(old)} -> {_json(new)}"


def _warnings(failure: Failure, result: StepResult) -> list[str]:
    """Return the warnings of a step, such as a wrong entry of `artifacts`, except its failure."""
    found = (one for one in result.warnings if not one.endswith(failure.reason))
    return [f"    warning: {one_line(one)}" for one in found]


def _worker_line(ended: Ended) -> list[str]:
    where = ended.where
    return [] if where is None else [f"worker     {where.worker} of {where.host}"]


def _samples_line(result: StepResult) -> str:
    """Return the line with the number of samples, their range and their interval."""
    curve, seconds = result.curve, result.ended.usage.seconds if result.ended else 0.0
    if curve is None:
        return "samples    none"
    parts = [f"{curve.samples:,} in {seconds:.2f} s, every {curve.every:g} s"]
    values = [one.value for one in result.measurements if isinstance(one.value, int | float)]
    if values:
        parts.append(range_text(values, result.measurements[0].unit or ""))
    parts += [f"{curve.late:,} late"] if curve.late else []
    parts += [f"{curve.failed:,} failed"] if curve.failed else []
    return f"samples    {', '.join(parts)}"


def _resources_line(usage: Resources) -> str:
    parts = [f"{usage.seconds:.2f} s"]
    user, system = usage.cpu_user_seconds, usage.cpu_system_seconds
    cpu = report_text.added(user, system)
    if cpu is not None:
        parts.append(f"CPU {cpu:.2f} s")
        if user is not UNSET and system is not UNSET:
            parts[-1] += f" (user {user:.2f}, system {system:.2f})"
    if usage.max_rss is not UNSET:
        parts.append(f"peak {report_text.peak_megabytes(plain(usage))} MB")
    if usage.processes is not UNSET and usage.processes > 1:
        parts.append(f"{usage.processes} processes")
    for word, size in (("read", usage.read_bytes), ("wrote", usage.write_bytes)):
        if size:
            parts.append(f"{word} {report_text.megabytes(size)} MB")
    return f"resources  {', '.join(parts)}"


def _command_line(result: StepResult) -> list[str]:
    """Return the line with a command that runs the step without pytest; empty if none is usable."""
    process = result.ended.process if result.ended else None
    if (
        process is not None
        and process.alone
        and process.alone.isprintable()
        and len(process.alone) <= _LONGEST
    ):
        return [f"command    {process.alone}"]
    return []


def _bounded(rows: list[str], rest: str, most: int = _MOST) -> list[str]:
    return rows if len(rows) <= most else [*rows[:most], rest.format(len(rows) - most)]


def _short(value: Json) -> str:
    return cut_to_length(value, _WIDEST_VALUE) if isinstance(value, str) else _json(value)


def _json(value: Json) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    # JSON may contain control characters of a terminal: then all non-ASCII characters are escaped.
    if not shown.isprintable():
        shown = json.dumps(value).replace("\x7f", "\\u007f")
    return cut_to_length(shown, _WIDEST_VALUE)


def place_of(step: Step, result: StepResult) -> Place:
    """Return the position of a failure in the recipe; if it has none, that of the step's code."""
    if result.failure and result.failure.place:
        return result.failure.place
    return next(step.at[key] for key in ("function", "class", "cmd", "") if key in step.at)


def source_of(recipe: Recipe, step: Step, result: StepResult) -> Recipe | Source:
    """Return the file that contains the position of a failure."""
    failure = result.failure
    is_of_recipe = failure is not None and failure.is_of_recipe and failure.place is not None
    return recipe if is_of_recipe else recipe.source(step)


_WIDEST_LINE = 300
_KEPT_WHOLE = 1 << 16
"""Largest size in bytes of a stream whose text is kept completely."""


def of_stderr(result: StepResult, root: Path, most: int) -> list[str]:
    """Return the last lines of stderr, after a heading with the path of the whole log.

    Args:
        result: The result of a step.
        root: The rootdir, to which the path is relative.
        most: Maximum number of lines of stderr.

    Returns:
        Lines; empty if the step had no process or wrote nothing to stderr.
    """
    process = result.ended.process if result.ended else None
    if process is None or not process.stderr.text.strip():
        return []
    stream = process.stderr
    lines = without_escaped_colours(stream.text).rstrip("\n").splitlines()
    shown = [cut_to_length(line, _WIDEST_LINE) for line in lines[-most:]]
    if stream.size > _KEPT_WHOLE:
        count = f"last {len(shown)} lines of {stream.size:,} bytes"
    elif len(shown) < len(lines):
        count = f"last {len(shown)} of {len(lines):,} lines"
    else:
        count = f"{len(lines)} line" + ("s" if len(lines) != 1 else "")
    return [f"stderr, {count}{_log_note(stream.log, root, cut=stream.cut)}", *indented(shown)]


def without_escaped_colours(text: str) -> str:
    r"""Return output as `core.text.printable` does, without terminal colours and overwritten text.

    In the text, the characters ``ESC`` and ``CR`` are the escapes ``\x1b`` and ``\x0d``.
    """
    if "\\x1b[" in text:
        text = _COLOURS.sub("", text)
    return _OVERWRITTEN.sub("", text) if "\\x0d" in text else text


def indented(lines: list[str]) -> list[str]:
    """Return lines indented by two spaces."""
    return [f"  {line}".rstrip() for line in lines]


def _log_note(log: str | None, root: Path, *, cut: bool) -> str:
    if log is None:
        return ""
    path = Path(log)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    return f"   (all: {shown})" if not cut else f"   (truncated: {shown})"


OPTION: Final = "--recipe-var"
_GIVEN: Final = (OPTION, "--recipe-ask")
_OWN: Final = "recipe"


def command(node: str, options: Iterable[str] = ()) -> str:
    """Return a shell command that runs a step again with pytest."""
    return shlex.join(["pytest", *options, node])


def options(step_vars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the command-line options with which pytest sets vars to the same values again.

    Args:
        step_vars: Vars by name, each with ``value`` and ``origin``, as in the block of a step.
    """
    origins = [str(var["origin"]) for var in step_vars.values()]
    files = [origin for origin in dict.fromkeys(origins) if origin not in (*_GIVEN, _OWN)]
    return [f"--recipe-vars-file={path}" for path in files] + [
        f"{OPTION}={name}={_option_value(var['value'])}"
        for name, var in step_vars.items()
        if var["origin"] in _GIVEN
    ]


def _option_value(value: Json) -> str:
    """Return a value in the form that `--recipe-var` parses: JSON, or text that is not JSON."""
    if isinstance(value, str):
        try:
            json.loads(value)
        except ValueError:
            return value
    return json.dumps(value, ensure_ascii=False)
