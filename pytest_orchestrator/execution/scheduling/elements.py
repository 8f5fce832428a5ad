"""Element loop of a step with ``foreach``: one retry loop for each element of a list, in order.

The loop holds the locks and the worker slot of the step from the first element to the last one.
The result of the step is computed from the results of its elements.
"""

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import Change
from pytest_orchestrator.core.files import step_file_name
from pytest_orchestrator.core.json_values import Json, kind
from pytest_orchestrator.core.result import Element, Ended, Failure, Outcome, Resources, StepResult
from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.core.text import MAX_CAUSE, clipped, counted
from pytest_orchestrator.execution.attempt_context import AttemptContext
from pytest_orchestrator.execution.expression_scope import Scope
from pytest_orchestrator.execution.notifications import (
    AttemptStarted,
    ElementFinished,
    Listener,
    Started,
)
from pytest_orchestrator.execution.outcome import Raised
from pytest_orchestrator.execution.scheduling.attempt import StepContext
from pytest_orchestrator.execution.scheduling.failures import unmet_failure
from pytest_orchestrator.execution.scheduling.retry import RetryLoop
from pytest_orchestrator.execution.steps.services import Services
from pytest_orchestrator.recipe.expressions.expression import Expression, ExpressionError
from pytest_orchestrator.recipe.expressions.names import ONCE
from pytest_orchestrator.recipe.fields import type_hooks
from pytest_orchestrator.recipe.fields.resolve import evaluate_step
from pytest_orchestrator.recipe.model.key_types import MAX_ELEMENTS
from pytest_orchestrator.recipe.model.step import Step

if TYPE_CHECKING:
    from pytest_orchestrator.runs.resume.elements import KeptElements


def list_digest(items: Sequence[Json], secrets: Masker) -> str:
    """Return the digest of a list; secrets in it are masked first, so that it reveals none."""
    return sha256(msgspec.json.encode(secrets.mask_json([*items]), order="sorted")).hexdigest()[:16]


class _ElementContext(StepContext):
    """Access to the Context for one element; its outputs are kept for the list of all elements.

    Attributes:
        outputs: The outputs of the last attempt, by key.
    """

    outputs: dict[str, Json] = {}  # noqa: RUF012  # replaced, never changed

    def write(self, outputs: dict[str, Json]) -> None:
        """Write the outputs so that only the criteria of this attempt see them."""
        super().write(outputs)
        self.outputs = outputs

    def begin(self) -> None:
        """Reset the outputs for a new attempt."""
        super().begin()
        self.outputs = {}

    def settle(self, *, is_last: bool) -> None:  # noqa: ARG002
        """End an attempt: nothing is written to the Context before the last element has ended."""
        super().settle(is_last=False)


class _ElementAttempts(RetryLoop):
    """Retry loop of one element; it takes the arguments of `RetryLoop`.

    Attributes:
        element_names: The names ``item`` and ``index`` of expressions, with their values.
    """

    element_names: Mapping[str, Any] = {}

    @property
    def outputs(self) -> dict[str, Json]:
        """The values of the step's ``outputs`` for the element, by key; empty if it has none."""
        own = self._own
        return own.outputs if isinstance(own, _ElementContext) else {}

    def _step_context(self, context: Context, notify: Listener, by: str) -> StepContext:
        return _ElementContext(self._written, context, notify, by)

    def _prepared(self) -> StepResult | None:
        """Evaluate the expressions of the step for the element; `if` was evaluated before."""
        names = self._scope.before(self._written, self._own.context, self.number, self._fixtures)
        self._names = {**names, **self.element_names}
        self.step = self._evaluated()
        return None


class ElementLoop(RetryLoop):
    """Loop over the elements of a step with ``foreach``; for schedulers it is one attempt.

    It takes the arguments of `RetryLoop`.

    Args:
        kept: The elements that passed in the run that this run resumes; None if there are none.
    """

    def __init__(
        self,
        step: Step,
        context: Context,
        attempt_defaults: AttemptContext,
        fixtures: Mapping[str, object],
        scope: Scope,
        services: Services,
        kept: "KeptElements | None" = None,
    ) -> None:
        super().__init__(step, context, attempt_defaults, fixtures, scope, services)
        self._earlier = kept
        self._items: tuple[Json, ...] = ()
        self._digest = ""
        self._elements: list[Element] = []
        self._outputs: dict[int, dict[str, Json]] = {}
        self._running: _ElementAttempts | None = None
        self._began = 0.0
        self._attempts_of = partial(
            _ElementAttempts, context=context, fixtures=fixtures, scope=scope, services=services
        )

    def _evaluated(self) -> Step:
        """Return the step with its list and its locks; each element evaluates the other keys."""
        written = self._written
        once = tuple(one for one in written.templates if one.path[0] in ONCE)
        rest = tuple(one for one in written.templates if one.path[0] not in ONCE)
        step = evaluate_step(msgspec.structs.replace(written, templates=once), self._names)
        self._items = tuple(self._listed(step))
        self._digest = list_digest(self._items, self._attempt_defaults.config.secrets)
        return self._with_type_locks(msgspec.structs.replace(step, foreach=None, templates=rest))

    def _with_type_locks(self, step: Step) -> Step:
        """Return the step with the locks that its type asks for, for any of the elements."""
        is_replayed = self._attempt_defaults.config.replays(step)
        if is_replayed or not type_hooks.has_hook(step, "locks"):
            return step
        locks = dict.fromkeys(step.locks)
        for index, item in enumerate(self._items):
            names = {**self._names, "item": item, "index": index}
            locks |= dict.fromkeys(
                type_hooks.call("locks", step, self._attempt_defaults.recipe, names)
            )
        return msgspec.structs.replace(step, locks=tuple(locks))

    def _listed(self, step: Step) -> Sequence[Json]:
        """Return the list of a step.

        Raises:
            ExpressionError: Its expression gives no list, or the list is too long.
        """
        place = step.at.get("foreach")
        items: Any = step.foreach
        if isinstance(items, Expression):
            items = items.value(self._names)
        if not isinstance(items, list | tuple):
            raise ExpressionError(f"foreach is {kind(items)}, should be a list", place)
        if len(items) > MAX_ELEMENTS:
            raise ExpressionError(
                f"foreach has {len(items):,} elements; {MAX_ELEMENTS:,} are the most", place
            )
        return items

    def run(self, locks: tuple[int, ...] = ()) -> StepResult | None:
        """Run the step code for all elements, and return the result of the step.

        Args:
            locks: The descriptors of the step's lock files.
        """
        slot = self._attempt_defaults.slot
        self._began = time.time()
        self._callbacks.record(AttemptStarted(self.step, 1, elements=len(self._items)))
        self._callbacks.notify(Started(self.step))
        if slot is not None:
            slot.remote = None
        try:
            for index, item in enumerate(self._items):
                if self._is_over:
                    break
                self._add(index, item, self._restored(index) or self._result_of(index, item, locks))
        finally:
            if slot is not None and slot.remote is not None:
                slot.remote.release()
        return self._ended()

    @property
    def _is_over(self) -> bool:
        """True if no further element may run."""
        slot, last = self._attempt_defaults.slot, self._elements[-1:]
        if self.deadline is not None and self.deadline.is_over:
            return True
        if slot is not None and (slot.is_cancelled or (slot.remote and slot.remote.is_lost)):
            return True
        return bool(last) and self.step.fail_fast and last[0].result.outcome == "failed"

    def _result_of(self, index: int, item: Json, locks: tuple[int, ...]) -> StepResult:
        """Run the step code for one element until an attempt is the last one."""
        defaults = self._attempt_defaults
        folder = defaults.artifacts
        attempt = msgspec.structs.replace(
            defaults,
            element=index,
            artifacts=folder and folder / f"{step_file_name(self.step.name)}.{index}",
        )
        running = self._attempts_of(step=self.step, attempt_defaults=attempt)
        running.element_names = {"item": item, "index": index}
        self._running = running
        started = time.time()
        result = running.prepare()
        while result is None:
            result = running.run(locks)
            if result is None and not self._rests(running.delay):
                result = running.interrupted(started, "the step was ended")
        self._outputs[index] = running.outputs
        self._running = None
        return result

    def _rests(self, seconds: float) -> bool:
        """Wait between two attempts of an element; return False if the step is to end."""
        slot = self._attempt_defaults.slot
        if slot is None:
            time.sleep(seconds)
            return True
        slot.rest(seconds)
        return not slot.is_cancelled

    def _add(self, index: int, item: Json, result: StepResult) -> None:
        """Record and store the result of an element."""
        if result.failure is not None and self._is_known_failure:
            # The exception of the first failure is reported; others would keep frames in memory.
            failure = msgspec.structs.replace(result.failure, exception=None)
            result = msgspec.structs.replace(result, failure=failure)
        element = Element(index=index, item=item, result=result)
        self._elements.append(element)
        outputs = self._outputs.get(index, {})
        self._callbacks.record(ElementFinished(self.step, element, outputs, self._digest))

    @property
    def _is_known_failure(self) -> bool:
        """True if an element failed for a reason that the recipe does not expect."""
        return any(self._is_unexpected(element.result.failure) for element in self._elements)

    def _is_unexpected(self, failure: Failure | None) -> bool:
        if failure is None:
            return False
        raised = failure.exception
        if isinstance(raised, Raised):
            return not raised.is_expected
        return not isinstance(raised, self._attempt_defaults.config.xfail_exceptions)

    def _restored(self, index: int) -> StepResult | None:
        """Return the result of an element that passed in the resumed run, else None.

        The changes of the Context that its step code made there are made again, because the resumed
        run has restored no change of this step.
        """
        kept = self._earlier
        one = kept.elements.get(index) if kept and kept.digest == self._digest else None
        if one is None:
            return None
        before = len(self._own.changes)
        for change in one.changes:
            _repeat(self._own.context, change)
        self._outputs[index] = one.outputs
        changes = tuple(self._own.changes[before:])
        return msgspec.structs.replace(one.result, step=self.step.name, changes=changes)

    def interrupted(self, started: float, reason: str) -> StepResult:
        """Return the result of a step that was interrupted at an element, or between two.

        Args:
            started: The start of the step, in seconds since the epoch.
            reason: The cause of the interruption.
        """
        running, self._running = self._running, None
        index = len(self._elements)
        if running is not None:
            cut_off = running.interrupted(started, reason)
            with contextlib.suppress(JournalError):
                self._add(index, self._items[index], cut_off)
        self._add_not_run("the run was interrupted")
        return self._whole(self._interruption(reason, index), started)

    def cut_off(self, result: StepResult, started: float, reason: str) -> StepResult:
        """Return the result of a step whose program was ended from outside, as interrupted.

        The element that ran is interrupted, too.

        Args:
            result: The result that the end of the program gave.
            started: The start of the step, in seconds since the epoch.
            reason: The cause of the interruption.
        """
        elements = [*(result.elements or ())]
        at = sum(one.state != "not run" for one in elements)
        last = elements[at - 1].result if at else None
        if last is not None and last.failure and last.failure.kind in ("interrupted", "crash"):
            at -= 1
            ended = super().cut_off(last, last.started or started, reason)
            elements[at] = msgspec.structs.replace(elements[at], result=ended)
        failure = self._interruption(reason, at)
        return msgspec.structs.replace(result, failure=failure, elements=tuple(elements))

    def _interruption(self, reason: str, index: int) -> Failure:
        seconds = max(0.0, time.time() - (self._began or time.time()))
        cause = f"interrupted after {seconds:.1f} s: {clipped(reason, MAX_CAUSE)}"
        if index < len(self._items):
            cause = f"{cause}, at {self._elements[index].label} of {len(self._items):,}"
        return Failure(kind="interrupted", reason=cause)

    def _ended(self) -> StepResult:
        """Store and return the result of the step after its last element."""
        slot, count = self._attempt_defaults.slot, len(self._elements)
        last = self._elements[-1:]
        is_cancelled = slot is not None and slot.is_cancelled
        if count < len(self._items):
            self._add_not_run("the step was ended" if is_cancelled else self._why_not_all())
        failure = failure_of(self._elements, self._is_unexpected)
        is_known = failure is not None and (failure.is_of_recipe or self.step.fail_fast)
        deadline = None if is_known or count == len(self._items) else self.deadline
        if deadline is not None and deadline.is_over:
            state = f"{counted(len(self._items) - count, 'element')} had not begun"
            failure = deadline.failure(state)
        if is_cancelled and (count < len(self._items) or last[0].result.is_interrupted):
            is_open = bool(last) and last[0].result.is_interrupted
            failure = self._interruption("the step was ended", count - is_open)
        self.result = result = self._whole(failure, self._began)
        if result.outcome == "passed":
            self.result = result = self._compared(result)
        return result

    def _why_not_all(self) -> str:
        """Return the reason why no further element ran, unless the step was cancelled."""
        slot = self._attempt_defaults.slot
        if self.deadline is not None and self.deadline.is_over:
            return "the time of the recipe is over"
        if slot is not None and slot.remote is not None and slot.remote.is_lost:
            return "its worker was lost"
        return "an earlier element failed (fail_fast)"

    def _compared(self, result: StepResult) -> StepResult:
        """Return the result, failed if a figure of the step is far from those of earlier runs."""
        assert result.ended is not None  # noqa: S101  # `whole` sets it
        measured = tuple(
            msgspec.structs.replace(each, name=f"{each.name}[{element.index}]")
            for element in self._elements
            for each in element.result.measurements
        )
        verdicts = self._callbacks.more_verdicts(self.step, result.ended, measured)
        failure = unmet_failure(verdicts)
        return msgspec.structs.replace(
            result,
            verdicts=verdicts,
            failure=failure,
            outcome="failed" if failure else "passed",
            meets=failure is None or self.step.continue_on_error,
        )

    def _add_not_run(self, why: str) -> None:
        """Add the elements whose step code did not run."""
        for index in range(len(self._elements), len(self._items)):
            result = StepResult(step=self.step.name, outcome="blocked", reason=why)
            self._elements.append(Element(index=index, item=self._items[index], result=result))

    def _whole(self, failure: Failure | None, started: float) -> StepResult:
        """Write the outputs unless the step was interrupted, and return the result of the step."""
        changes = [change for one in self._elements for change in one.result.changes]
        if failure is None or failure.kind != "interrupted":
            before = len(self._own.changes)
            outputs = [self._outputs.get(index, {}) for index in range(len(self._items))]
            keys = [one.key for one in self.step.outputs]
            self._own.write(lists_of_outputs(self._elements, outputs, keys))
            changes += self._own.changes[before:]
        starts = [one.result.started for one in self._elements if one.result.started]
        return msgspec.structs.replace(
            whole(self.step, self._elements, failure, tuple(changes), self._own.missed),
            started=starts[0] if starts else started,
            stopped=time.time(),
        )


def _repeat(context: Context, change: Mapping[str, Any]) -> None:
    """Make a change of the Context again that an element made in an earlier run."""
    key, new = change["key"], change.get("new")
    value: Any = context.get(key)
    match change["op"]:
        case "append":
            context.append(key, new)
        case "increment":
            context.increment(key, cast("float", new) - (change.get("old") or 0))
        case "delete" if key in context:
            context.delete(key)
        case "pop" if value:
            context.pop(key, min(change.get("index") or 0, len(value) - 1))
        case "delete" | "pop":
            pass  # another element has made the value, and runs again
        case _:
            context.set(key, new)


_SUMMED = ("cpu_user_seconds", "cpu_system_seconds", "read_bytes", "write_bytes")
_PEAKS = ("max_rss", "largest_rss", "heap_peak", "processes")

EMPTY = "foreach: the list is empty"
"""Reason of a step that passed because its list has no element."""


def failure_of(
    elements: Sequence[Element], is_unexpected: Callable[[Failure | None], bool]
) -> Failure | None:
    """Return the failure of a step: that of its first failed element, with the number of others.

    The failure of an element that the recipe's `timeout` ended has priority.

    Args:
        elements: The elements that ran.
        is_unexpected: Returns False for a failure that the step code itself declares as expected;
            such a failure counts only if no other element failed.
    """
    failed = [(one, one.result.failure) for one in elements if one.result.failure is not None]
    if not failed:
        return None
    first = next((pair for pair in failed if is_unexpected(pair[1])), failed[0])
    element, failure = next((pair for pair in failed if pair[1].is_of_recipe), first)
    more = f" (and {len(failed) - 1:,} more of {counted(len(elements), 'element')} failed)"
    reason = f"{element.label}: {failure.reason}{more if len(failed) > 1 else ''}"
    return msgspec.structs.replace(failure, reason=reason)


def lists_of_outputs(
    elements: Sequence[Element], outputs: Sequence[dict[str, Json]], keys: Sequence[str]
) -> dict[str, Json]:
    """Return the values of the ``outputs`` of a step: for each key the list over the elements.

    An element without outputs, because its step code failed, has the value None.

    Args:
        elements: The elements.
        outputs: The outputs of each element.
        keys: The keys.

    Returns:
        An empty mapping if no element has outputs, unless there is no element at all.
    """
    if elements and not any(outputs):
        return {}
    return {key: [one.get(key) for one in outputs] for key in keys}


def whole(
    step: Step,
    elements: Sequence[Element],
    failure: Failure | None,
    changes: tuple[Change, ...],
    missed: tuple[str, ...],
) -> StepResult:
    """Return the result of a step.

    Args:
        step: The step.
        elements: All elements of the list.
        failure: The failure of the step; None if no element failed.
        changes: All changes of the Context that the step made, in order.
        missed: Context paths that the step itself read and that did not exist.
    """
    results = [one.result for one in elements]
    outcome: Outcome = "failed" if failure else "passed"
    reason = "" if results else EMPTY
    if results and not failure and all(one.outcome == "skipped" for one in results):
        outcome, reason = "skipped", results[0].reason
    return StepResult(
        step=step.name,
        outcome=outcome,
        failure=failure,
        reason=reason,
        meets=failure is None or step.continue_on_error,
        changes=changes,
        missed=tuple(dict.fromkeys([*missed, *(path for one in results for path in one.missed)])),
        ended=Ended(
            usage=_total([one.ended.usage for one in results if one.ended]),
            value=[one.ended.value if one.ended else None for one in results],
            where=next((one.ended.where for one in results if one.ended), None),
            answers=tuple(answer for one in results if one.ended for answer in one.ended.answers),
        ),
        artifacts=tuple(artifact for one in results for artifact in one.artifacts),
        warnings=tuple(
            f"{element.label}: {warning}"
            for element in elements
            for warning in element.result.warnings
        ),
        elements=tuple(elements),
    )


def _total(usages: Sequence[Resources]) -> Resources:
    """Return the sum of durations, CPU times and bytes, and the largest of the peaks."""

    def known(name: str) -> list[Any]:
        return [value for one in usages if (value := getattr(one, name)) is not UNSET]

    sums = {name: sum(known(name)) for name in _SUMMED if known(name)}
    peaks = {name: max(known(name)) for name in _PEAKS if known(name)}
    return Resources(
        seconds=sum(one.seconds for one in usages),
        source=usages[0].source if usages else {},
        **cast("Any", sums | peaks),
    )
