"""The text of a failed step: where, what was measured, what held, how to repeat it.

At most some thirty lines whatever the step did; the output of the step itself is shown
beside it by pytest.
"""

import json
import os
import shlex
from collections.abc import Iterable
from pathlib import Path

from pytest_orchestrator.core.context import Change
from pytest_orchestrator.core.place import Place, excerpt
from pytest_orchestrator.core.result import Failure, StepResult, Usage
from pytest_orchestrator.core.values import Json
from pytest_orchestrator.recipe.model import Recipe, Step
from pytest_orchestrator.reports import figures

_MOST = 6
_MOST_UNMET = 20
_FEWEST_UNMET = 12
_MOST_LINES = 36
_OF_A_STREAM = 3
_WIDEST = 100
_LONGEST = 300


def text(recipe: Recipe, step: Step, result: StepResult, root: Path, here: Path) -> str:
    """Return what a person is told of a failed step.

    Args:
        recipe: The recipe; its text gives the excerpt.
        step: The step that failed.
        result: What became of it; its ``failure`` is present.
        root: The rootdir, which the path of its log is told relative to.
        here: Where pytest was started, and where its command works when pasted.
    """
    failure = result.failure or Failure(kind="exception", reason="no reason is known")
    place, source = place_of(step, result), recipe.source(step)
    head = [
        f"{source.id}:{place.line}:{place.column}: {_headline(step, failure, result)}",
        "",
        *excerpt(source.text, place, before=3, first=step.line).splitlines(),
    ]
    rest = [
        *(f"    {line}" for line in failure.detail),
        *_held(result),
        *_tries(result),
        *_writes(result.changes),
        *_log(result, root),
    ]
    if result.ended is not None:
        rest.append(_used(result.ended.usage))
    rest += _commands(recipe, step, result, os.path.relpath(root / recipe.id, here))
    room = _room(result) - len(head) - len(rest) - 1
    most = max(_FEWEST_UNMET, min(_MOST_UNMET, room))
    return "\n".join([*head, *_errors(result, failure, most), *rest])


def _room(result: StepResult) -> int:
    """Return the lines that this may take: with what pytest shows below it, it is forty."""
    process = result.ended.process if result.ended else None
    streams = (process.stdout.size, process.stderr.size) if process else (1, 1)
    return _MOST_LINES - _OF_A_STREAM * sum(1 for size in streams if size)


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


def _held(result: StepResult) -> list[str]:
    held = [f"{one.name} {_short(one.wanted)}" for one in result.verdicts if one.unmet is None]
    return [f"    held: {'; '.join(_bounded(held, '{} more'))}"] if held else []


def _tries(result: StepResult) -> list[str]:
    rows = [f"    try {one.number}: {one.failure.reason}" for one in result.attempts]
    return _bounded(rows, "    … and {} more tries")


def _log(result: StepResult, root: Path) -> list[str]:
    """Say where the whole stderr is, since what is shown of it may be its end alone."""
    process = result.ended.process if result.ended else None
    if process is None or process.stderr.log is None:
        return []
    path = Path(process.stderr.log)
    shown = path.relative_to(root) if path.is_relative_to(root) else path
    cut = ", cut" if process.stderr.cut else ""
    return [f"stderr     {shown} ({process.stderr.size:,} bytes{cut})"]


def _writes(changes: Iterable[Change]) -> list[str]:
    rows = [_write(change) for change in changes]
    return ["wrote to the context", *_bounded(rows, "  … and {} more changes")] if rows else []


def _write(change: Change) -> str:
    told = change.as_dict()
    old, new = told.get("old"), told.get("new")
    if change.op in ("append", "pop"):
        sign, value = ("+", new) if change.op == "append" else ("-", old)
        return f"  {sign} {change.key}[{told.get('index')}]  {_json(value)}"
    if change.op == "delete":
        return f"  - {change.key}  {_json(old)}"
    if old is None:
        return f"  + {change.key}  {_json(new)}"
    return f"  ~ {change.key}  {_json(old)} -> {_json(new)}"


def _used(usage: Usage) -> str:
    parts = [f"{usage.seconds:.2f} s"]
    cpu = figures.added(usage.cpu_user_seconds, usage.cpu_system_seconds)
    if cpu is not None:
        parts.append(f"CPU {cpu:.2f} s")
    if usage.max_rss is not None:
        parts.append(f"peak {figures.megabytes(usage.max_rss)} MB")
    return f"used       {', '.join(parts)}"


def _commands(recipe: Recipe, step: Step, result: StepResult, path: str) -> list[str]:
    node = path + recipe.node(step.name).removeprefix(recipe.id)
    rows = [f"repeat     pytest {shlex.quote(node)}"]
    process = result.ended.process if result.ended else None
    if (
        process is not None
        and process.alone
        and process.alone.isprintable()
        and len(process.alone) <= _LONGEST
    ):
        rows.append(f"alone      {process.alone}")
    return rows


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
