"""Criteria on Context keys, resource limits and printed output."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.figures.exact import LongDecimal, exact, rounded, violated
from pytest_orchestrator.core.figures.notation import figure, notation
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.result import Ended, Stream, Verdict, is_memory_bound
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import cut_to_length, one_line, quoted, some_of
from pytest_orchestrator.execution.lanes.pattern_search import Searches
from pytest_orchestrator.execution.text_search import Searched, searched
from pytest_orchestrator.recipe.expressions.expression import Expression, ExpressionError
from pytest_orchestrator.recipe.model.step import Criterion, Step


class Stamp(msgspec.Struct, frozen=True):
    """Identity, size and modification time of a file, compared to detect writes to the file."""

    device: int
    inode: int
    size: int
    modified_ns: int


Before = Mapping[str, Mapping[str, Stamp]]
"""The files that each path or glob of a step matched before the step started."""

Elsewhere = Callable[[Criterion, float], Iterable[Verdict]]
"""Function that checks a criterion on the worker that has the files.

Its second argument is the start of the step code, in seconds since the epoch.
"""


class CheckInputs(msgspec.Struct, frozen=True):
    """Data against which the success criteria of a step are checked after its step code has ended.

    Attributes:
        step: The step.
        context: The Context as the step left it.
        ended: The end of the step code.
        started: The start of the step code, in seconds since the epoch.
        root: The folder to which paths are relative.
        before: The stamps of files before the step started, for criteria with `fresh`.
        names: The variables of expressions.
        errors: The errors of expressions in the step, by the path of the value, such as
            ``("success", 0)``.
        elsewhere: Function that checks a criterion on files on the worker that has the files;
            None if this machine has them.
        searches: Searches patterns within the timeout of the step.
    """

    step: Step
    context: Context
    ended: Ended
    started: float
    root: Path
    before: Before
    names: Mapping[str, Any] = {}
    errors: Mapping[tuple[str | int, ...], ExpressionError] = {}
    elsewhere: Elsewhere | None = None
    searches: Searches = Searches()


Check = Callable[[Criterion, CheckInputs], Iterable[Verdict]]
"""Function that checks one criterion; it yields a verdict for each condition of the criterion."""


def verdict(criterion: Criterion, unmet: str | None = None, **fields: Any) -> Verdict:
    """Create the `Verdict` on a criterion, with the criterion's name, wanted value and place.

    Args:
        criterion: The criterion.
        unmet: One line that states why the criterion does not hold; None if it holds.
        fields: Other fields of the `Verdict`; they override those taken from the criterion.
    """
    return Verdict(
        **(
            {"name": criterion.name, "expected": criterion.expected, "place": criterion.place}
            | fields
        ),
        unmet=unmet,
    )


STREAMS = ("stdout", "stderr")


def output(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on a criterion such as `stdout_contains`; none if no process has run."""
    if inputs.ended.process is None:
        return
    name, _, rule = criterion.name.partition("_")
    stream: Stream = getattr(inputs.ended.process, name)
    wanted = str(criterion.expected)
    yield search_verdict(criterion, rule, wanted, searched(stream, name), inputs.searches)


def search_verdict(
    criterion: Criterion, rule: str, wanted: str, source: Searched, searches: Searches
) -> Verdict:
    """Search a text or pattern in a source; return the verdict on the criterion.

    Args:
        criterion: The criterion.
        rule: ``contains``, ``not_contains`` or ``matches``.
        wanted: The text or the pattern.
        source: The file or output that is searched.
        searches: Runs pattern searches within the timeout of the step.
    """
    if rule == "matches":
        name = "files.matches" if criterion.name == "files" else criterion.name
        match = searches.first(wanted, source, name, criterion.place)
        hit = match and match.hit
    else:
        hit = source.text(wanted)
    lost = f"; {source.lost:,} bytes of it were not kept" if source.lost else ""
    if rule == "not_contains":
        if hit is None:
            unmet = f"it is not known whether {quoted(wanted)} is in {source.name}{lost}"
            return verdict(criterion, unmet if lost else None)
        line = f"line {hit.line:,}" if hit.line else "a line near the end"
        shown = "" if hit.text.strip() == wanted.strip() else f": {quoted(hit.text)}"
        unmet = f"{quoted(wanted)} is in {line} of {source.name}{shown}"
        return verdict(criterion, unmet, measured=hit.text)
    if hit is not None:
        return verdict(criterion)
    end = source.end()
    tail = f"which ends with {quoted(end)}" if end else "which says nothing"
    what = "no match of " if rule == "matches" else "no "
    return verdict(criterion, f"{what}{quoted(wanted)} in {source.name}, {tail}{lost}")


def has_key(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield a verdict that holds if the Context has the wanted key."""
    key, context = str(criterion.expected), inputs.context
    if key in context:
        yield verdict(criterion)
        return
    keys = context.keys()
    near = nearest(key, keys)
    existing = "" if near else f"; it has {some_of(keys) or 'none at all'}"
    yield verdict(criterion, f"the context has no key '{key}'{near}{existing}")


def lacks_key(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield a verdict that holds if the Context lacks the unwanted key."""
    key, context = str(criterion.expected), inputs.context
    if key not in context:
        yield verdict(criterion)
        return
    history = context.get_history(key)
    by = f", written by {history[-1]['who']}" if history else ""
    yield verdict(criterion, f"the context has the key '{key}'{by}")


_MEGA = 1_000_000


def max_seconds(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the duration of the attempt, including the start of its process.

    The time in which a person was asked does not count.
    """
    ended = inputs.ended
    yield _at_most(criterion, max(0.0, ended.usage.seconds - ended.asked), "s", "took")


def max_cpu_seconds(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the CPU time of the step's process tree."""
    if inputs.ended.process is None:
        return
    usage = inputs.ended.usage
    if usage.cpu_user_seconds is UNSET or usage.cpu_system_seconds is UNSET:
        yield verdict(criterion, "no CPU time was measured")
        return
    used = exact(usage.cpu_user_seconds) + exact(usage.cpu_system_seconds)
    yield _at_most(criterion, rounded(used), "s", "used", "of CPU")


def max_rss_mb(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the peak memory of the step's process tree.

    If only an upper bound of the peak is known, the bound must meet the limit. Samples cannot show
    that a limit held, and whether there is one depends on the speed of the machine.
    """
    process, usage = inputs.ended.process, inputs.ended.usage
    if process is None:
        return
    peak = usage.max_rss
    if peak is UNSET:
        yield verdict(criterion, "no memory was measured")
        return
    bound = process.rss_bound or (peak if is_memory_bound(usage.source) else 0)
    known = 0.0 if bound == peak else peak / _MEGA
    checked = _at_most(criterion, known, "MB", "had", "at its peak")
    if bound and checked.unmet is None:
        limit: Any = criterion.expected
        most, unmet = f"{bound / _MEGA:.1f}", None
        if violated(bound / _MEGA, None, limit):
            unmet = f"at most {most} MB: cannot show that {figure(limit)} MB held"
        checked = verdict(criterion, unmet, measured=f"≤ {most}", unit="MB")
    yield checked


def leftover_processes(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on the number of processes that the step left running."""
    process = inputs.ended.process
    if process is None:
        return
    checked = _at_most(criterion, len(process.leftovers), "", "left", "running")
    if checked.unmet is None:
        yield checked
        return
    yield verdict(
        criterion,
        f"{checked.unmet}: {some_of(process.leftovers)}",
        measured=checked.measured,
        distance=checked.distance,
    )


def _at_most(
    criterion: Criterion, value: float, unit: str, before: str, after: str = ""
) -> Verdict:
    limit = criterion.expected
    if isinstance(limit, bool) or not isinstance(limit, int | float):
        return verdict(criterion, "the limit is no number", measured=value, unit=unit)
    return compared(criterion, value, (None, limit), unit, before, after)


def compared(
    criterion: Criterion,
    value: float,
    limits: tuple[float | None, float | None],
    unit: str,
    before: str,
    after: str = "",
) -> Verdict:
    """Return the verdict on a figure with one limit.

    Args:
        criterion: The criterion.
        value: The figure.
        limits: Its lower and its upper limit, one of them None.
        unit: The unit of all; ``bytes`` are shown as ``B``.
        before: The words before the figure if it violates its limit.
        after: The words after it.
    """
    low, high = limits
    limit = high if low is None else low
    if limit is None or not violated(value, low, high):
        return verdict(criterion, measured=value, unit=unit)
    made = notation([value], low=low, high=high, unit="B" if unit == "bytes" else unit)
    words = filter(None, (before, made.with_unit(value), after))
    return verdict(
        criterion,
        f"{' '.join(words)}, limit {made.beyond(value, limit)}",
        measured=value,
        unit=unit,
        distance=rounded(abs(exact(value) - exact(limit))),
    )


_MAX_VALUES = 6
_MAX_OPERAND_WIDTH = 80


def unmet(expression: Expression, names: Mapping[str, Any], context: Context) -> str | None:
    """Return the reason why an expression is false, or None if the expression is true.

    Args:
        expression: The expression.
        names: The variables of the expression.
        context: The Context, whose history names the writers of its keys.

    Returns:
        None if the expression is true, else one line with the values that it read.

    Raises:
        ExpressionError: The expression cannot be evaluated.
    """
    if expression.holds(names):
        return None
    values = list(dict.fromkeys(_values(expression, names, context)))
    shown = ", ".join(values[:_MAX_VALUES])
    return f"`{expression.text}` is false{': ' * bool(shown)}{shown}"


def check(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Yield the verdict on an `assert` criterion of a step."""
    if criterion.expression is not None:
        reason = unmet(criterion.expression, inputs.names, inputs.context)
        yield verdict(criterion, reason)


def _values(expression: Expression, names: Mapping[str, Any], context: Context) -> Iterator[str]:
    for chain in expression.reads:
        text = chain.text
        if text is None:
            continue
        try:
            value = Expression(text, expression.place).value(names, exact=True)
        except ExpressionError:
            continue
        shown = one_line(repr(value) if isinstance(value, str) else _as_json(value))
        shown = cut_to_length(shown, _MAX_OPERAND_WIDTH)
        yield f"{text} = {shown}{_last_writer(chain.parts, context) if chain.root == 'ctx' else ''}"


def _as_json(value: Any) -> str:
    import json

    return value.text if type(value) is LongDecimal else json.dumps(value, ensure_ascii=False)


def _last_writer(parts: tuple[Any, ...], context: Context) -> str:
    """Return a note on the last write to a Context key, or to its nearest parent with a history.

    The note is empty if neither the key nor a parent has a history.
    """
    path = [str(part) for part in parts]
    for cut in range(len(path), 0, -1):
        history = context.get_history(".".join(path[:cut]))
        if history:
            last = history[-1]
            return f" (written by {last['who']} at {last['ts']})"
    return ""


def result_schema(criterion: Criterion, inputs: CheckInputs) -> Iterator[Verdict]:
    """Validate the result of a step by a JSON Schema, and yield the verdict."""
    schema = criterion.expected if isinstance(criterion.expected, dict) else {}
    errors = inputs.searches.schema_errors(schema, inputs.ended.exact_value, criterion.place)
    if "fault" in errors:
        way, fault = errors["fault"]
        where = f" in {'.'.join(map(str, way))}" if way else ""
        place = criterion.at.get("/".join(map(str, way)), criterion.place)
        yield verdict(criterion, f"no JSON Schema{where}: {fault}", place=place, errs=True)
        return
    if not errors["rows"]:
        yield verdict(criterion)
        return
    yield verdict(
        criterion,
        "; ".join(errors["rows"]),
        place=_place(criterion, errors["way"]),
        measured=errors["measured"],
    )


def _place(criterion: Criterion, way: list[str]) -> Place:
    """Return the recipe position of a schema rule, or of the `$ref` that leads to the rule."""
    way = [*way]
    at = criterion.at
    if "/".join(way) in at:
        return at["/".join(way)]
    while way:  # the path that jsonschema reports does not contain the `$ref`
        way.pop()
        for key in ("/".join([*way, "$ref"]), "/".join(way)):
            if key in at:
                return at[key]
    return criterion.place
