"""Values of one step in expressions, such as `steps.flash.stdout`, and what is kept for them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.result import Element, Ended, Process, StepResult, Stream, lasted
from pytest_orchestrator.recipe.expressions.expression import Expression, absent
from pytest_orchestrator.recipe.fields.resolve import all_expressions, expressions_of_uses
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.step import FileUse

TAIL: Final = 64 << 10
"""Most bytes of stdout or stderr of another step that an expression can read."""

LARGE: Final = frozenset({"stdout", "stderr", "measurements"})
"""The values that are kept only for recipes whose expressions read them."""


def step_value(result: StepResult, fields: frozenset[str]) -> dict[str, Any]:
    """Return the value of the variable `steps.x` of expressions.

    Args:
        result: The result of the step.
        fields: The names in `LARGE` that the value has too.
    """
    if result.elements is not None:
        return _value_of_elements(result, result.elements, fields)
    ended = result.ended
    process = ended.process if ended else None
    failure = result.failure or (ended.failure if ended else None)
    value: dict[str, Any] = {
        "outcome": result.outcome,
        "result": ended.exact_value if ended else None,
        "exit_code": process.exit_code if process else None,
        "seconds": ended.usage.seconds if ended else 0.0,
        "kind": failure.kind if failure else None,
        "attempts": result.attempt if ended else result.attempt - 1,
    }
    for name in ("stdout", "stderr") if fields else ():
        if name in fields:
            value[name] = _tail(getattr(process, name, Stream()), result, name)
    if "measurements" in fields:
        value["measurements"] = {
            one.name: {
                "value": None if one.value is UNSET else one.value,
                "verdict": one.verdict,
            }
            for one in result.measurements
        }
    return value


def _value_of_elements(
    result: StepResult, elements: Sequence[Element], fields: frozenset[str]
) -> dict[str, Any]:
    """Return the value of a step with ``foreach``: lists over its elements, and its own outcome."""
    own = step_value(msgspec.structs.replace(result, elements=None), frozenset())
    values = [step_value(one.result, fields) for one in elements]
    listed = ("result", "exit_code", "attempts", *sorted(fields))
    return own | {name: [value[name] for value in values] for name in listed}


def _tail(stream: Stream, result: StepResult, name: str) -> Any:
    """Return the last part of a stream; a placeholder whose use is an error if it is missing."""
    if stream.size and stream.log is None and stream.edges == (b"", b""):
        run = f" in run {result.restored}" if result.restored else ""
        return absent(f"the {name} of step '{result.step}' was not kept{run}")
    from pytest_orchestrator.execution import text_search

    try:
        return text_search.tail(stream, TAIL)
    except OSError as error:
        return absent(f"the {name} of step '{result.step}' cannot be read: {error.strerror}")


def with_logs(result: StepResult, folder: Path) -> StepResult:
    """Return a recorded result whose streams can be read from their logs.

    Args:
        result: The result, of this run or of the run that it was restored from.
        folder: The folder for the logs of its recipe in that run.
    """
    ended = result.ended
    process = ended.process if ended else None
    if ended is None or process is None:
        return result
    found: dict[str, Any] = {}
    for name in ("stdout", "stderr"):
        size = getattr(process, name).size
        log = folder / f"{result.step}.{result.attempt}.{name}"
        if size and log.is_file():
            found[name] = Stream(size=size, kept=size, log=str(log))
    process = msgspec.structs.replace(process, **found)
    return msgspec.structs.replace(result, ended=msgspec.structs.replace(ended, process=process))


def gist(result: StepResult, fields: frozenset[str] = frozenset()) -> StepResult:
    """Return a copy of a result without what neither reports nor expressions will read.

    Args:
        result: The result of a step that has been reported.
        fields: The names in `LARGE` that an expression of the recipe may still read.
    """
    ended = result.ended
    if ended is not None:
        ended = Ended(
            usage=lasted(ended.usage.seconds),
            value=ended.value,
            exact=ended.exact,
            process=_essential(ended.process, fields) if ended.process else None,
            failure=ended.failure if result.restored else None,
        )
    return StepResult(
        step=result.step,
        outcome=result.outcome,
        failure=result.failure,
        reason=result.reason,
        blocked_by=result.blocked_by,
        meets=result.meets,
        ended=ended,
        attempt=result.attempt,
        measurements=result.measurements if "measurements" in fields else (),
        restored=result.restored,
        elements=result.elements and tuple(_gist_of_element(e, fields) for e in result.elements),
    )


def _gist_of_element(element: Element, fields: frozenset[str]) -> Element:
    return msgspec.structs.replace(element, result=gist(element.result, fields))


def _essential(process: Process, fields: frozenset[str]) -> Process | None:
    kept: dict[str, Any] = {}
    for name in ("stdout", "stderr"):
        stream: Stream = getattr(process, name)
        if name in fields and stream.size:
            kept[name] = Stream(
                size=stream.size,
                log=stream.log,
                kept=stream.kept,
                edges=stream.edges,
                replaced=stream.replaced,
            )
    if process.exit_code is None and not kept:
        return None
    return Process(argv=(), cwd="", alone="", exit_code=process.exit_code, **kept)


class FieldsRead:
    """Large values of steps that the expressions of a recipe read.

    Args:
        recipe: The recipe.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._any: set[str] = set()
        self._by_step: dict[str, set[str]] = {}
        for step in (*recipe.steps, *recipe.final):
            for expression, _ in all_expressions(step):
                self._note(expression, step.file_use)
            for expression, file_use in expressions_of_uses(step):
                self._note(expression, file_use.outer)

    def of(self, step: str) -> frozenset[str]:
        """Return the large values of a step, or of a cell of one, that an expression may read."""
        return frozenset(self._any | self._by_step.get(_without_cell(step), set()))

    def _note(self, expression: Expression, file_use: FileUse | None) -> None:
        for chain in expression.reads:
            if chain.root != "steps":
                continue
            name = chain.parts[0] if chain.parts else None
            # An index stands before the field of a cell of the step.
            rest = [part for part in chain.parts[1:] if not isinstance(part, int)]
            field = rest[0] if rest else None
            fields = LARGE if field is None else LARGE & {field}
            if not fields:
                continue
            if isinstance(name, str):
                prefix = f"{_without_cell(file_use.name)}." if file_use else ""
                self._by_step.setdefault(prefix + _without_cell(name), set()).update(fields)
            else:
                self._any |= fields


def _without_cell(name: str) -> str:
    return name.partition("[")[0]
