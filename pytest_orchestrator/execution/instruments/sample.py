"""Sample of a value that an instrument measures while steps run."""

import math
import time

from pytest_orchestrator.core.result import Ended, Failure, Usage
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.instruments.use import no_station
from pytest_orchestrator.instrument import InstrumentError, shown
from pytest_orchestrator.recipe.model.step import InstrumentQuery

_NOT_A_NUMBER = 9.9e37
"""Least value by which SCPI instruments say that there is no number, or that it is infinite."""


def run(step: InstrumentQuery, attempt: AttemptContext) -> Ended:
    """Query an instrument once, and return the number that it answers.

    Args:
        step: The sampled value.
        attempt: The context of the attempt.
    """
    began, started = time.time(), time.monotonic()
    value, failure = None, None
    try:
        if attempt.instruments is None:
            raise no_station(step.instrument)
        value = _number(step, attempt.instruments.sampled(step.instrument, step.query))
    except InstrumentError as error:
        failure = Failure(kind="status", reason=str(error))
    usage = Usage(seconds=time.monotonic() - started)
    return Ended(usage=usage, value=value, failure=failure, began=began)


def _number(step: InstrumentQuery, answer: str) -> float:
    """Return the number of an answer, such as ``+1.20E-03``, or the first of several.

    Raises:
        InstrumentError: The answer is no number.
    """
    try:
        value = float(answer.partition(",")[0])
    except ValueError:
        value = math.nan
    if math.isfinite(value) and abs(value) < _NOT_A_NUMBER:
        return value
    raise InstrumentError(
        f"{step.instrument}: '{step.query}' was answered with '{shown(answer, 80)}', no number",
        instrument=step.instrument,
        command=step.query,
        kind="protocol",
    )
