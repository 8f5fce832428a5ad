"""The text of a failed step: where, what was measured, what held, how to repeat it.

At most some thirty lines whatever the step did; what it printed to stdout is shown beside
it by pytest.
"""

import json
import os
from collections.abc import Sequence
from pathlib import Path

from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.json_values import Json
from pytest_orchestrator.core.location import Place, excerpt
from pytest_orchestrator.core.result import Ended, Failure, StepResult, Usage
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import Step
from pytest_orchestrator.reports import figures, last_lines, repeating

_MOST = 6
_MOST_UNMET = 20
_FEWEST_UNMET = 12
_MOST_LINES = 36
_MOST_LOGGED = 10
_STDERR = "its stderr ends with:"
_OF_A_STREAM = 3
_WIDEST_KEY = 40
_WIDEST = 100
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
    fewest = 1 + _OF_A_STREAM if last_lines.of_stderr(result, root, 1) else 0
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
    stderr = last_lines.of_stderr(result, root, most)
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
    used = [] if result.ended is None else [*_where(result.ended), _used(result.ended.usage)]
    node = path + recipe.node(step.name).removeprefix(recipe.id)
    again = repeating.command(node, options)
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
        case "exit_code" | "validation":
            return len(result.unmet) > 1
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


def _where(ended: Ended) -> list[str]:
    where = ended.where
    return [] if where is None else [f"ran        on worker {where.worker} of {where.host}"]


def _used(usage: Usage) -> str:
    parts = [f"{usage.seconds:.2f} s"]
    user, system = usage.cpu_user_seconds, usage.cpu_system_seconds
    cpu = figures.added(user, system)
    if cpu is not None:
        parts.append(f"CPU {cpu:.2f} s")
        if user is not None and system is not None:
            parts[-1] += f" (user {user:.2f}, system {system:.2f})"
    if usage.max_rss is not None:
        parts.append(f"peak {figures.megabytes(usage.max_rss)} MB")
    if usage.processes is not None and usage.processes > 1:
        parts.append(f"{usage.processes} processes")
    for word, size in (("read", usage.read_bytes), ("wrote", usage.write_bytes)):
        if size:
            parts.append(f"{word} {figures.megabytes(size)} MB")
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
    return _cut(value) if isinstance(value, str) else _json(value)


def _json(value: Json) -> str:
    shown = json.dumps(value, ensure_ascii=False)
    # JSON may hold what moves a terminal's cursor: all but ASCII is escaped then.
    return _cut(shown if shown.isprintable() else json.dumps(value).replace("\x7f", "\\u007f"))


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


def place_of(step: Step, result: StepResult) -> Place:
    """Return where in the recipe a failed step is to blame: at worst what it runs."""
    if result.failure and result.failure.place:
        return result.failure.place
    return next(step.at[key] for key in ("function", "class", "cmd", "") if key in step.at)
