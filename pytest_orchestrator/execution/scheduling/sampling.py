"""Sampling of a recipe: values that are measured again and again while its steps run.

Each sampled value has a thread and lanes of its own, so it takes no worker slot. A sample is one
run of its command or function in a supervised child.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import UNSET

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.figures.decisions import MEETS
from pytest_orchestrator.core.figures.exact import (
    Number,
    exact,
    margins,
    nearest,
    rounded,
    violated,
)
from pytest_orchestrator.core.figures.notation import notation
from pytest_orchestrator.core.json_values import Json, as_floats, finite_number
from pytest_orchestrator.core.result import (
    Curve,
    Ended,
    Failure,
    Measurement,
    StepResult,
    lasted,
)
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.criteria.measurements import conformity, unmet
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.lanes.messages import LaneLost
from pytest_orchestrator.execution.notifications import Sampled
from pytest_orchestrator.execution.scheduling.failures import invalid
from pytest_orchestrator.execution.steps.dispatch import apart
from pytest_orchestrator.recipe.expressions.expression import ExpressionError
from pytest_orchestrator.recipe.fields.readers import keys_of
from pytest_orchestrator.recipe.fields.resolve import evaluate_step, replace_expressions
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.recipe.model.root_mappings import Sampler, Sampling
from pytest_orchestrator.recipe.model.step import PythonStep, Step

_MOST_POINTS = 1_000
_MIN_TIMEOUT = 10.0  # seconds; longest duration of a sample, if its interval is shorter
_LAST = 2.0  # seconds; time for the last sample at the end, if its interval is shorter
_PATIENCE = 4.0  # seconds; a lane that responds ends its program within two
_PAUSE = 0.02  # seconds between two attempts to end a program


class CurveRecorder:
    """Recorder of a curve with a bounded number of points.

    If there are too many points, neighbouring pairs of intervals are joined; the lowest and the
    highest value of each interval are kept.
    """

    def __init__(self) -> None:
        self._points: list[tuple[float, float]] = []
        self._joined = 1
        self._pending: list[tuple[float, float]] = []

    def add(self, moment: float, value: float) -> None:
        """Add a sample.

        Args:
            moment: Its time, in seconds since the epoch.
            value: Its value.
        """
        self._pending.append((moment, value))
        if len(self._pending) >= self._joined:
            self._points += _extremes(self._pending)
            self._pending = []
        if len(self._points) > _MOST_POINTS:
            self._joined = 4 * self._joined if self._joined == 1 else 2 * self._joined
            joined = (self._points[at : at + 4] for at in range(0, len(self._points), 4))
            self._points = [point for part in joined for point in _extremes(part)]

    @property
    def points(self) -> tuple[tuple[float, float], ...]:
        """The points, in the order of time."""
        return (*self._points, *_extremes(self._pending))


def _extremes(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points with the lowest and the highest value, in the order of time."""
    if not points:
        return []
    found = {min(points, key=lambda one: one[1]), max(points, key=lambda one: one[1])}
    return sorted(found)


class SamplingContext(NamedTuple):
    """Data and services for the sampled values of one recipe run.

    Attributes:
        attempt: The values for the attempts of steps; its slot is that of the recipe run.
        context: Returns the Context of a sampled value: that of the recipe, or of its unit.
        scope: The variables of expressions.
        abort: Ends the recipe, given the name of the sampled value and a reason; called in its
            thread at the first violation of a limit if its key `abort` is true.
    """

    attempt: AttemptContext
    context: Callable[[Step], Context]
    scope: Scope
    abort: Callable[[str, str], None]


class RunningSampler:
    """Sampled value of one recipe run, from the first watched step to the last.

    Args:
        sampler: The sampled value.
        watched: The names of the steps that are watched.
        around: The data and services of the recipe run.
        segment: Number of the segment of the curve.
        first: The watched step that runs.
    """

    def __init__(
        self,
        sampler: Sampler,
        watched: frozenset[str],
        around: SamplingContext,
        segment: int,
        first: str,
    ) -> None:
        attempt, context, scope, abort = around
        self._segment = segment
        self.step: Step = sampler.step
        self.watched = watched
        self._sampling = sampler.sampling
        self._slot = attempt.required_slot.new_slot()
        self._attempt = msgspec.structs.replace(
            attempt.of_step(self.step.name),
            slot=self._slot,
            runner=None,
            live=None,
            artifacts=None,
            resources=None,
            event_sink=lambda _: None,
            environ=attempt.variables(),
        )
        self._context = context(self.step).bound(
            self.step.name, lambda _: None, scope.node(self.step)
        )
        self._scope, self._abort = scope, abort
        # `with` a condition, unlike a lock, may leave it locked if Ctrl-C interrupts it.
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._running = {first}
        self._is_over = False
        self._failure: Failure | None = None
        self._reason = ""
        self._values: tuple[float, float, Number] | None = None  # lowest, highest, sum
        self._count = self._late = self._failed = 0
        self._curve = CurveRecorder()
        self._began = time.time()
        self._last: Ended | None = None
        name = f"recipe sampling {self.step.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the sampling."""
        self._thread.start()

    def begin(self, step: str) -> None:
        """Note that a watched step runs."""
        with self._lock:
            self._running.add(step)
            self._changed.notify_all()

    def end(self, step: str) -> None:
        """Note that a step has ended."""
        with self._lock:
            self._running.discard(step)
            self._changed.notify_all()

    @property
    def has_failed(self) -> bool:
        """True if a value was outside its limits, or the sampling failed."""
        return self._failure is not None

    def finish(self, *, at_once: bool = False) -> StepResult:
        """End the sampling, and return its result with the curve and the measurements.

        Args:
            at_once: False to wait for a sample that began while a watched step ran, which counts.
        """
        with self._lock:
            self._is_over = True
            self._changed.notify_all()
        if not at_once:
            with contextlib.suppress(RuntimeError):  # Ctrl-C has prevented the start of the thread
                self._thread.join(max(_LAST, self._sampling.every))
        started = time.monotonic()
        while self._thread.is_alive():
            self._slot.end_programs(late=time.monotonic() - started > _PATIENCE)
            self._thread.join(_PAUSE)
        self._slot.close()
        return self._result()

    @property
    def _limit(self) -> float:
        return max(_MIN_TIMEOUT, self._sampling.every)

    def _run(self) -> None:
        if self._is_over:  # Ctrl-C interrupted the start of this thread
            return
        try:
            names = self._scope.before(self.step, self._context, 1, {})
            step = msgspec.structs.replace(evaluate_step(self.step, names), timeout=self._limit)
            self._sampling = _evaluated(self._sampling, names)
            due = time.monotonic()
            if isinstance(step, PythonStep):
                with contextlib.suppress(LaneLost, OSError):  # the sample reports the error
                    self._slot.python.prepare()
            self._sample_repeatedly(step, due)
        except ExpressionError as error:
            self._failure = invalid(error)
        except BaseException as error:  # noqa: BLE001 - reported as the failure of the sampling
            self._failure = Failure(kind="crash", reason=f"{type(error).__name__}: {error}")

    def _sample_repeatedly(self, step: Step, due: float) -> None:
        every = self._sampling.every
        self._sample(step)  # always, however short the first watched step is
        due += every
        while True:
            with self._lock:
                if not self._running and not self._is_over:
                    self._changed.wait_for(lambda: self._running or self._is_over)
                    due = max(due, time.monotonic())
                if self._is_over:
                    return
                left = due - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
            missed = int(-left // every)
            self._late += missed
            due += (missed + 1) * every
            self._sample(step)

    def _sample(self, step: Step) -> None:
        moment = time.time()
        with self._lock:
            during = sorted(self._running)
        ended = apart(step, self._context, self._attempt)
        value = _number(ended.exact_value) if ended.failure is None else None
        self._last = ended
        if value is None:
            self._failed += 1
            self._reason = ended.failure.reason if ended.failure else _not_a_number(ended.value)
            return
        self._count += 1
        low, high, total = self._values or (value, value, exact(0))
        self._values = (min(low, value), max(high, value), total + exact(value))
        wrong, shown = self._violation(value, during), rounded(value)
        self._curve.add(moment, shown)
        with contextlib.suppress(JournalError):  # the next step reports the error
            event = Sampled(step, shown, moment, self._segment, is_outside=bool(wrong))
            self._attempt.callbacks.record(event)
        if wrong and self._failure is None:
            at, side = self._sampling.at, nearest(value, self._sampling.low, self._sampling.high)
            place = at.get(side) or at[""]
            self._failure = Failure(kind="criterion", reason=wrong, place=place)
            if self._sampling.abort:
                self._abort(self.step.name, wrong)

    def _violation(self, value: float, during: Sequence[str]) -> str:
        """Return one line that says how a value violates its limits; empty if it does not.

        Args:
            value: The sample.
            during: The names of the steps that ran at its start.
        """
        low, high = self._sampling.low, self._sampling.high
        if self._sampling.decision != "simple":
            found = conformity(self._sampling, value, (low, high))
            shown = notation([value], low=low, high=high, unit=self._sampling.unit or "")
            reason = unmet(found, value, (low, high), shown)
            return f"a sample {reason}{_while(during)}" if reason else ""
        side = violated(value, low, high)
        limit, word = (low, "below") if side == "low" else (high, "above")
        if not side or limit is None:
            return ""
        made = notation([value], low=low, high=high, unit=self._sampling.unit or "")
        text = f"{made.with_unit(value)} is {word} the limit {made.with_unit(limit)}"
        return text + _while(during)

    def _result(self) -> StepResult:
        measured = self._measured()
        failure = self._failure and msgspec.structs.replace(self._failure, is_late=True)
        if failure is None and not self._count:
            why = self._reason or "it was interrupted"
            reason = f"no sample was taken: {why}"
            failure = Failure(kind="criterion", reason=reason, is_late=True)
        warnings = []
        if self._failed:
            total = self._failed + self._count
            warnings.append(
                f"{self._failed} of {total} samples failed, the last one: {self._reason}"
            )
        seconds = time.time() - self._began
        process = self._last.process if self._last and not self._count else None
        ended = Ended(usage=lasted(seconds), value=None, process=process, began=self._began)
        return StepResult(
            step=self.step.name,
            outcome="failed" if failure else "passed",
            failure=failure,
            meets=failure is None,
            measurements=measured,
            ended=ended,
            started=self._began,
            stopped=time.time(),
            warnings=tuple(warnings),
            curve=Curve(
                every=self._sampling.every,
                samples=self._count,
                late=self._late or UNSET,
                failed=self._failed or UNSET,
                segment=self._segment if self._segment > 1 else UNSET,
                points=[
                    (round(max(0.0, moment - self._began), 3), value)
                    for moment, value in self._curve.points
                ],
            ),
        )

    def _measured(self) -> tuple[Measurement, ...]:
        sampling, values = self._sampling, dict[str, Number]()
        if self._values is not None:
            low, high, total = self._values
            values = {"min": low, "mean": total / self._count, "max": high}
        return tuple(self._one(name, values.get(name), sampling) for name in ("min", "mean", "max"))

    def _one(self, name: str, value: Number | None, sampling: Sampling) -> Measurement:
        distances = margins(value, sampling.low, sampling.high)
        place = sampling.at.get("high") or sampling.at.get("low") or sampling.at[""]
        limits = sampling.low, sampling.high
        found = None if value is None else conformity(sampling, value, limits)
        is_met = min(distances, default=0) >= 0
        if found is not None and found.decision is not None:
            is_met = found.decision in MEETS
        fields = found.fields if found is not None else {}
        if sampling.decision != "simple":
            fields["rule"] = sampling.decision
        return Measurement(
            name=name,
            line=place.line,
            value=UNSET if value is None else rounded(value),
            unit=sampling.unit or UNSET,
            low=UNSET if sampling.low is None else as_floats(sampling.low),
            high=UNSET if sampling.high is None else as_floats(sampling.high),
            margin=rounded(min(distances)) if distances else UNSET,
            verdict="unset" if found is None or found.undecided else "pass" if is_met else "fail",
            instrument=sampling.instrument or UNSET,
            **fields,
        )


def _evaluated(sampling: Sampling, names: dict[str, Any]) -> Sampling:
    """Return the sampling with the values of its limits."""
    changed = {}
    for one in sampling.templates:
        name = str(one.path[0])
        key = keys_of(Sampling)[name]
        value = replace_expressions([one], one.path, getattr(sampling, name), names)
        assert key.reader is not None  # noqa: S101
        try:
            changed[name] = key.reader.convert(value, name)
        except ValueError as error:
            raise ExpressionError(str(error), one.place) from None
    return msgspec.structs.replace(sampling, **changed)


def _number(value: Json) -> float | None:
    """Return the number of a sample: the value itself, or the key ``value`` of a mapping."""
    if isinstance(value, dict):
        value = value.get("value")
    return value if isinstance(value, int | float) and finite_number(value) is not None else None


def _while(during: Sequence[str]) -> str:
    return f", while {' and '.join(during)} ran" if during else ""


def _not_a_number(value: Json) -> str:
    from pytest_orchestrator.core.json_values import kind

    if isinstance(value, dict):
        return "the result is a mapping without a number below 'value'"
    return f"the result is {kind(value)}, should be a number"


class Samplers:
    """Sampled values of one recipe run.

    Args:
        recipe: The recipe.
        around: The data and services of the recipe run.

    Attributes:
        segment: Number of the segment of each curve, from 1; a resumed run begins a new one.
    """

    def __init__(self, recipe: Recipe, around: SamplingContext) -> None:
        self._watched = [
            (one, frozenset(step.name for step in one.watched(recipe.steps)))
            for one in recipe.samplers
        ]
        self._around = around
        self.segment = 1
        self._running: dict[str, RunningSampler] = {}
        self._lock = threading.Lock()
        self._is_over = False

    def begin(self, step: str) -> None:
        """Start the values whose first watched step begins."""
        with self._lock:
            for one, watched in self._watched if not self._is_over else ():
                if step in watched and one.name not in self._running:
                    sampler = RunningSampler(one, watched, self._around, self.segment, step)
                    # It is in the list before its start, which Ctrl-C may interrupt.
                    self._running[one.name] = sampler
                    sampler.start()
        for running in self._of(step):
            running.begin(step)

    def end(self, step: str) -> None:
        """Note that a step has ended."""
        for running in self._of(step):
            running.end(step)

    def _of(self, step: str) -> list[RunningSampler]:
        with self._lock:
            return [one for one in self._running.values() if step in one.watched]

    @property
    def has_failed(self) -> bool:
        """True if a value was outside its limits."""
        with self._lock:
            return any(one.has_failed for one in self._running.values())

    def finish(self) -> list[StepResult]:
        """End all sampling; return the results of the values that were sampled.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed meanwhile; all sampling has ended nevertheless.
        """
        interrupt: BaseException | None = None
        results: list[StepResult] = []
        while self._running:
            try:
                with self._lock:
                    self._is_over, name = True, next(iter(self._running))
                results.append(self._running[name].finish(at_once=interrupt is not None))
                with self._lock:
                    del self._running[name]
            except KeyboardInterrupt as again:
                interrupt = again
        if interrupt is not None:
            raise interrupt
        return results
