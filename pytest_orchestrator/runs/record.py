"""Run record: the state of a run and its Contexts, folded from the lines of its journal.

The record is updated line by line, so a running run and a finished one are read the same way.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, get_args

import msgspec
from msgspec import UNSET

from pytest_orchestrator.core.events import (
    AttemptFailed,
    CollectionFailed,
    ContextChanged,
    ContextRestored,
    DebtForgiven,
    ElementFinished,
    InstrumentOpened,
    InstrumentSafe,
    QuestionAnswered,
    QuestionAsked,
    RecipeStarted,
    ReportInfo,
    RunFinished,
    RunStarted,
    SampleTaken,
    StepFinished,
    StepHeld,
    StepStarted,
    StepWaits,
    TestReported,
)
from pytest_orchestrator.core.files import step_file_name
from pytest_orchestrator.runs import folder
from pytest_orchestrator.runs.changes import Changes
from pytest_orchestrator.runs.journal.chain import Entry, RawStepFinished
from pytest_orchestrator.runs.journal.debts import Debts
from pytest_orchestrator.runs.journal.reader import State
from pytest_orchestrator.runs.operator.identity import identified
from pytest_orchestrator.runs.samples import Samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_orchestrator.runs.block import Block, Element, Time

StepEvent: TypeAlias = (
    StepStarted
    | StepFinished
    | StepWaits
    | AttemptFailed
    | ElementFinished
    | QuestionAsked
    | QuestionAnswered
    | StepHeld
)

ACTIVE: Final = frozenset({"running", "locked", "retrying", "asks"})
_KILLED: Final = "pytest was killed, or the machine went down,"
_DECODED: Final = msgspec.Raw(b"null")
"""The block of an event whose text was decoded and is in memory no more."""
NOT_REACHED: Final = frozenset({"waiting", "not selected"})
"""States of steps without any event, in a running run and in one that has ended."""


class Progress(msgspec.Struct, frozen=True):
    """Numbers of elements of ``foreach``: those that have ended, those that failed, and all."""

    ended: int
    failed: int
    total: int


class ElementRecord(msgspec.Struct, frozen=True):
    """Element of ``foreach`` as a journal describes it: its event, its first and its last line."""

    event: ElementFinished
    lines: tuple[int, int]


class StepRecord:
    """Record of one step.

    Attributes:
        recipe: Key of its recipe.
        name: Name of the step.
        about: Its description from the recipe: index, line, type, needs, after, tags.
        state: waiting, locked (for a lock), running, asks (a question of it has no answer),
            retrying, then its outcome: passed, failed, skipped, blocked, xfailed, xpassed, error,
            restored, or interrupted; if the run ended before the step, "not run", or "not selected"
            if it was not selected.
        started: Start of its last attempt, in ISO 8601 UTC; None before the first one.
        finished: Time at which its outcome was recorded; None before.
        attempt: Number of the last attempt.
        failed: The failed attempts before the last one.
        phases: The waits for locks and the failed attempts before the last start, each as
            ``locked`` or ``failed`` with its start and its end.
        locked: While it waits for a lock: the event of the wait, and its time.
        result: Its result.
        text: The failure text of pytest.
        digest: Digest of the step in its last attempt.
        lines: Numbers of its first and its last line in the journal.
        touched: Number of the last line that changed this record, reports of pytest included.
        ended: The event with its outcome; None before.
        earlier: Outcomes that the event replaced: the step ran several times, or is a service.
        is_open: True if an attempt started and has no outcome.
        cut_off_in: Id of an earlier run that ended while the step ran, if it did not run in this
            one.
        elements: The elements of ``foreach`` that have ended, by index.
        element: Index of the element that runs, and the line of its start; None if none runs.
        progress: Progress of ``foreach`` since the last start of the step; None without it.
        asked: Its question, while it has no answer; else None.
        held: True if the run has held before it, so that a person may have done something there.
    """

    def __init__(self, recipe: str, name: str, about: dict[str, Any]) -> None:
        self.recipe = recipe
        self.name = name
        self.about = about
        self.state = "waiting"
        self.started: str | None = None
        self.finished: str | None = None
        self.attempt = 0
        self.failed: list[AttemptFailed] = []
        self.phases: list[tuple[Literal["locked", "failed"], str, str]] = []
        self.locked: tuple[StepWaits, str] | None = None
        self._block: Block | None = None
        self.result: Any = None
        self.text = ""
        self.digest = ""
        self.lines = (0, 0)
        self.touched = 0
        self.ended: StepFinished | None = None
        self.earlier: tuple[str, ...] = ()
        self.is_open = False
        self.cut_off_in: str | None = None
        self.elements: dict[int, ElementRecord] = {}
        self.element: tuple[int, int] | None = None
        self.progress: Progress | None = None
        self.asked: QuestionAsked | None = None
        self.held = False

    @property
    def block(self) -> "Block | None":
        """Its report block; None before its end, and if the journal has no valid block."""
        if self._block is None and self.ended is not None:
            from pytest_orchestrator.runs.block import from_block

            data: object = self.ended.block
            self._block = from_block(data)
            if self._block and isinstance(data, msgspec.Raw):  # its text is not needed any more
                self.ended = msgspec.structs.replace(self.ended, block=_DECODED)
        return self._block

    def may_have(self, text: bytes) -> bool:
        """Return False if the JSON text of the block shows, undecoded, that it lacks a text."""
        block: object = self.ended.block if self.ended else None
        return block is _DECODED or not isinstance(block, msgspec.Raw) or text in bytes(block)

    @property
    def _is_conditional(self) -> bool:
        """True if its block has that state; a block is decoded only if it has the words."""
        block: object = self.ended.block if self.ended else None
        if isinstance(block, dict):
            step = block.get("step")
            return isinstance(step, dict) and step.get("state") == "conditional pass"
        words = self.may_have(b'"conditional pass"')
        return words and self.block is not None and self.block.step.state == "conditional pass"

    @property
    def block_elements(self) -> "Sequence[Element]":
        """Its elements of ``foreach``, also if the step has not ended, or was refused on resume."""
        if self.block is not None and self.block.elements:
            return self.block.elements
        if not self.elements:
            return ()
        from pytest_orchestrator.runs.block import Element

        return [
            msgspec.convert(self.elements[index].event.block, Element)
            for index in sorted(self.elements)
        ]

    @property
    def figures(self) -> dict[str, Any]:
        """The figures that were measured, by name, and their ``source``; empty without any."""
        from pytest_orchestrator.runs.block import plain

        block = self.block
        return plain(block.resources) if block and block.resources else {}

    @property
    def outcome_fields(self) -> dict[str, Any]:
        """Fields such as ``kind`` and ``reason`` of the ``step`` in the report block of the step.

        A step that was running when pytest was killed has no block; the property creates its
        fields.
        """
        if self.state != "interrupted" or self.ended is not None:
            from pytest_orchestrator.runs.block import plain

            block = self.block
            return plain(block.step) if block else {}
        ended = f"run {self.cut_off_in} ended" if self.cut_off_in else _KILLED
        return {"kind": "interrupted", "reason": f"{ended} while it ran"}

    @property
    def reason(self) -> str:
        """Reason why the step did not pass, in one line; empty if it passed or none is known."""
        return str(self.outcome_fields.get("reason", ""))

    @property
    def word(self) -> str:
        """The word that reports show for its state: of a failed step also ``timeout``."""
        block = self.block if self.state == "failed" else None
        return block.step.word if block else self.state

    @property
    def sampled(self) -> bool:
        """True for a sampled value, which no view counts as a step."""
        return "sampled" in self.about

    @property
    def is_repeated(self) -> bool:
        """True for a step that each resumed run repeats: a service, or a step of ``finally``."""
        return bool(self.about.get("final") or (self.block and self.block.step.background))

    @property
    def reruns(self) -> int:
        """Number of times that a pytest plugin ran the step again after a failure."""
        return (self.block and self.block.step.reruns) or 0

    @property
    def start(self) -> str | None:
        """Start of the step, in ISO 8601 UTC; while it runs, the start of its last attempt."""
        return self._time.start if self._time else self.started

    @property
    def last_start(self) -> str | None:
        """Start of the step code in the last attempt, in ISO 8601 UTC; None before the first."""
        return (self._time and self._time.last_start) or self.start

    @property
    def _time(self) -> "Time | None":
        return (self.block and self.block.time) or None if self.state != "restored" else None

    @property
    def where(self) -> dict[str, str]:
        """``worker`` and ``host`` of the last attempt; empty if no Dask worker ran the step."""
        where = self.block.where if self.block else UNSET
        return {"worker": where.worker, "host": where.host} if where else {}

    @property
    def logs(self) -> dict[str, folder.LogFile]:
        """Logs of the last attempt of the step, by stream."""
        return folder.logs_in(self.block)

    def log_file(self, stream: str, attempt: int) -> folder.RunFile:
        """Return the path at which the log of an attempt is stored, even if no event names it."""
        return folder.log_in(self.recipe, f"{step_file_name(self.name)}.{attempt}.{stream}")

    @property
    def samples(self) -> folder.RunFile | None:
        """File with the resource samples of the step; None if the step has no samples."""
        return folder.samples_in(self.block)

    @property
    def artifacts(self) -> list[folder.Artifact]:
        """Artifacts of the step."""
        return folder.artifacts_in(self.block)

    def fold(self, entry: Entry, event: StepEvent) -> None:
        """Update the record with the next event of the step."""
        self.touched = entry.n
        if self.asked is not None or type(event) is QuestionAsked or self.state == "asks":
            self._fold_question(event)
        match event:  # the two events of each step come first
            case StepStarted(element=None):
                self._begin(entry, event)
            case StepFinished():
                self._end(entry, event)
            case StepStarted(element=int(element)):
                if event.attempt == 1:
                    self.element = element, entry.n
                self.lines = (self.lines[0], entry.n)
            case ElementFinished():
                self._add_element(entry, event)
            case StepWaits():
                self.state, self.locked = "locked", (event, entry.ts)
            case StepHeld():
                self.held = True
            case AttemptFailed(element=None):  # the block of an element has its own attempts
                self.failed.append(event)
                self.phases.append(("failed", self.started or entry.ts, entry.ts))
                self.state = "retrying"

    def _fold_question(self, event: StepEvent) -> None:
        """Update the open question of the step; any event but a question ends it."""
        if isinstance(event, QuestionAsked):
            self.asked, self.state = event, "asks"
        else:
            self.asked = None
            self.state = "running" if self.state == "asks" else self.state

    def _add_element(self, entry: Entry, event: ElementFinished) -> None:
        if any(one.event.digest != event.digest for one in self.elements.values()):
            self.elements.clear()  # of another list
        first = self.element[1] if self.element and self.element[0] == event.element else entry.n
        self.elements[event.element] = ElementRecord(event, (first, entry.n))
        self.element = None
        if self.progress is not None:
            failed = self.progress.failed + (event.outcome in ("failed", "interrupted"))
            self.progress = Progress(self.progress.ended + 1, failed, self.progress.total)
        self.lines = (self.lines[0] or entry.n, entry.n)

    def end(self, *, is_selected: bool) -> None:
        """Set the final state of a step without an outcome, after the end of its run.

        Args:
            is_selected: True if the step was selected; then its run was killed, because a run that
                reached its end has an outcome for each selected step.
        """
        if self.state in ACTIVE:
            self.state = "interrupted"
        elif self.state == "waiting":
            self.state = "not run" if is_selected else "not selected"

    def _begin(self, entry: Entry, event: StepStarted) -> None:
        self.cut_off_in = event.cut_off_in
        if event.cut_off_in:
            self.state = "interrupted"
            return
        self.is_open = True
        if event.attempt == 1:
            self.failed.clear()
            self.phases.clear()
        if self.locked is not None:
            self.phases.append(("locked", self.locked[1], entry.ts))
        self.state, self.attempt, self.digest = "running", event.attempt, event.digest
        self.started, self.finished, self.locked = entry.ts, None, None
        self.progress = None if event.elements is None else Progress(0, 0, event.elements)
        self.lines = (entry.n, entry.n) if event.attempt == 1 else (self.lines[0], entry.n)

    def _end(self, entry: Entry, event: StepFinished) -> None:
        if self.ended is not None:
            self.earlier += (self.ended.outcome,)
        self.result, self.ended, self._block = event.result, event, None
        self.state = "restored" if event.restored else event.outcome
        if self.state == "passed" and self._is_conditional:
            self.state = "conditional pass"
        elif self.state == "failed" and self.block:
            step = self.block.step
            if step.kind == "interrupted" or step.state == "error":
                self.state = "interrupted" if step.kind == "interrupted" else "error"
        self.is_open = False
        self.finished, self.locked = entry.ts, None
        self.lines = (self.lines[0] or entry.n, entry.n)


class RecipeRecord:
    """Record of one run of a recipe.

    Attributes:
        key: Its path, followed by the cell of its matrix if it has one.
        about: The fields of the recipe in the blocks of its steps: name, path, digest, vars.
        digests: SHA-256 of the files that its steps run, by path.
        unselected: Names of the steps that were not selected.
        steps: Its steps by name, in order.
        started: Start of the recipe, in ISO 8601 UTC.
        samples: The samples of its sampled values.
        info: Rows and links that plugins gave for its reports; None if they gave none.
        opened: The instruments that were in use while it ran, by name, also if an earlier recipe
            had opened them.
        unsafe: The ends of uses of instruments at which the safe state was not reached.
        identified: Keys of the unit under test that people gave, by unit; that of no panel is "".
        is_replay: True if its instruments were the recorded ones of another run.
    """

    def __init__(self, event: RecipeStarted, started: str) -> None:
        self.key = event.recipe
        self.about = event.about
        self.digests = event.digests
        self.unselected = frozenset(event.unselected)
        self.started = started
        self.samples = Samples()
        self.info: ReportInfo | None = None
        self.opened: dict[str, InstrumentOpened] = {}
        self.unsafe: list[InstrumentSafe] = []
        self.identified: dict[str, dict[str, str]] = {}
        self.is_replay = False
        self.steps = {
            about["name"]: StepRecord(event.recipe, about["name"], about) for about in event.steps
        }
        for name in self.unselected & self.steps.keys():
            self.steps[name].state = "not selected"

    def wait(self, entry: Entry, event: StepWaits) -> None:
        """Show a wait of the recipe for its locks at its first step, unless a step has begun."""
        steps = [one for one in self.steps.values() if one.name not in self.unselected]
        if steps and all(one.state == "waiting" for one in steps):
            steps[0].locked, steps[0].touched = (event, entry.ts), entry.n

    @property
    def is_tested(self) -> bool:
        """False if a resumed run restored all its steps, so that it is no run in the history.

        Services and ``finally`` steps, which a resumed run repeats in any case, do not count.
        """
        steps = [one for one in self.steps.values() if one.state != "not selected"]
        left = [one for one in steps if one.state != "restored"]
        return len(left) == len(steps) or not all(one.is_repeated for one in left)

    @property
    def name(self) -> str:
        """Its name; its key without one."""
        return str(self.about.get("name") or self.key)

    @property
    def path(self) -> str:
        """Its path, without the cell of its matrix."""
        return str(self.about.get("path") or self.key)

    @property
    def test_meta(self) -> dict[str, Any]:
        """Its `test_meta`, with the keys of the unit under test that people gave."""
        meta = self.about.get("test_meta")
        return identified(meta if isinstance(meta, dict) else {}, self.identified.get("", {}))


class RunRecord:
    """Record of a run, as its journal describes it.

    Attributes:
        state: finished, running, interrupted or damaged.
        started: The first event; None if the journal does not have it.
        first: Time of the first event, in ISO 8601 UTC.
        last: Time of the last line.
        lines: Number of lines so far.
        recipes: The recipes by key, in the order of their start.
        changes: All changes of the Contexts.
        tests: The last report of pytest on each item, by node id.
        uncollected: Files that could not be collected.
        opened: The instruments whose use began, in order.
        made_safe: The ends of the use of instruments, in order.
        debts: The safe states that the run owes, and the debts of earlier runs that it settles.
        finished: The event that seals the journal; None before.
        is_complete: True if the journal has everything that the run restored from an earlier run.
        seal: Hash of the line that seals a whole journal; empty without a seal, or while it grows.
        damage: Description of the first line that was changed; empty without damage.
    """

    def __init__(self) -> None:
        self.state: State = "running"
        self.started: RunStarted | None = None
        self.first = self.last = ""
        self.lines = 0
        self.recipes: dict[str, RecipeRecord] = {}
        self.changes = Changes()
        self.tests: dict[str, TestReported] = {}
        self.uncollected: list[CollectionFailed] = []
        self.opened: list[InstrumentOpened] = []
        self.made_safe: list[InstrumentSafe] = []
        self._in_use: dict[str, InstrumentOpened] = {}
        self.debts = Debts()
        self.finished: RunFinished | None = None
        self.is_complete = False
        self.seal = self.damage = ""

    @property
    def id(self) -> str:
        """The id of the run; empty if the journal does not have its first event."""
        return self.started.run if self.started else ""

    @property
    def steps(self) -> list[StepRecord]:
        """All steps of all recipes, in order."""
        return [step for recipe in self.recipes.values() for step in recipe.steps.values()]

    def fold(self, entry: Entry) -> None:
        """Update the record with the next line."""
        self.lines, self.last = entry.n, entry.ts
        fold = self._folds.get(type(entry.event))
        if fold is not None:
            fold(self, entry)

    def _fold_step(self, entry: Entry) -> None:
        event: Any = entry.event
        if event.step:
            step = self._step(event.recipe, event.step)
            step.fold(entry, event)
            if dut := getattr(event, "dut", None):
                known = self.recipes[event.recipe].identified
                known.setdefault(step.about.get("unit", ""), {}).update(dut)
        elif event.recipe in self.recipes:  # the recipe waits for its own locks
            self.recipes[event.recipe].wait(entry, event)

    def _fold_change(self, entry: Entry) -> None:
        self.changes.fold(entry)
        if isinstance(entry.event, ContextRestored) and not entry.event.scope:
            self.is_complete = True  # a resumed run restores the session's Context last

    def _fold_recipe(self, entry: Entry) -> None:
        match entry.event:
            case RecipeStarted() as event:
                self._begun(RecipeRecord(event, entry.ts))
            case ReportInfo() as event if event.recipe in self.recipes:
                self.recipes[event.recipe].info = event
            case SampleTaken() as event if event.recipe in self.recipes:
                self.recipes[event.recipe].samples.fold(event)

    def _fold_instrument(self, entry: Entry) -> None:
        self.debts.fold(entry.event)
        match entry.event:
            case InstrumentOpened() as event:
                self.opened.append(event)
                self._in_use[event.instrument] = event
                if event.recipe in self.recipes:
                    self.recipes[event.recipe].opened[event.instrument] = event
            case InstrumentSafe() as event:
                self.made_safe.append(event)
                if not event.run:  # a debt of an earlier run is no recipe's
                    self._in_use.pop(event.instrument, None)
                    if event.reason and event.recipe in self.recipes:
                        self.recipes[event.recipe].unsafe.append(event)

    def _fold_run(self, entry: Entry) -> None:
        match entry.event:
            case TestReported() as event:
                self._reported(event)
            case CollectionFailed() as event:
                self.uncollected.append(event)
            case RunStarted() as event:
                self.started, self.first = event, entry.ts
                self.is_complete = event.resumed_from is None
            case RunFinished() as event:
                self.finished = event
                self.end("finished")

    _folds: ClassVar[dict[type[Any], Callable[["RunRecord", Entry], None]]] = {
        **dict.fromkeys((*get_args(StepEvent), RawStepFinished), _fold_step),
        **dict.fromkeys((ContextChanged, ContextRestored), _fold_change),
        **dict.fromkeys((RecipeStarted, SampleTaken, ReportInfo), _fold_recipe),
        **dict.fromkeys((CollectionFailed, RunStarted, RunFinished, TestReported), _fold_run),
        **dict.fromkeys((InstrumentOpened, InstrumentSafe, DebtForgiven), _fold_instrument),
    }

    def end(self, state: State) -> None:
        """Set the state of the run; unless a process still writes it, end its unfinished steps.

        Args:
            state: The state, as in `runs.journal.reader.Reading`.
        """
        self.state = state
        if state != "running":
            for recipe in self.recipes.values():
                for step in recipe.steps.values():
                    step.end(is_selected=not self.finished and step.name not in recipe.unselected)

    def _begun(self, recipe: RecipeRecord) -> None:
        """Add a recipe that starts; keep the step records that earlier lines created for it."""
        before = self.recipes.get(recipe.key)
        recipe.opened = {**(before.opened if before else {}), **self._in_use}
        recipe.is_replay = bool(self.started and self.started.replay)
        if before is not None:
            recipe.unsafe, recipe.identified = before.unsafe, before.identified
            recipe.samples = before.samples
        for step in before.steps.values() if before else ():
            if step.lines != (0, 0) or step.cut_off_in:
                step.about = recipe.steps.get(step.name, step).about
                recipe.steps[step.name] = step
        self.recipes[recipe.key] = recipe

    def _reported(self, event: TestReported) -> None:
        step = None
        if event.recipe is not None and event.step is not None:
            step = self._step(event.recipe, event.step)
            if step.state == "interrupted" and event.outcome == "failed":  # of older versions
                event = msgspec.structs.replace(event, outcome="interrupted")
        self.tests[event.node] = event
        if step is None:
            return
        step.text, step.touched = event.text, self.lines
        # The report of pytest decides, but pytest reports every step that did not run as skipped.
        is_conditional = step.state == "conditional pass" and event.outcome == "passed"
        if event.outcome != "skipped" and step.state not in ACTIVE and not is_conditional:
            step.state = event.outcome

    def _step(self, recipe: str, name: str) -> StepRecord:
        """Return the record of a step; create it if the journal has no start of its recipe."""
        known = self.recipes.get(recipe)
        step = known and known.steps.get(name)
        if step:
            return step
        if known is None:
            start = RecipeStarted(recipe=recipe, about={"path": recipe}, steps=())
            known = self.recipes[recipe] = RecipeRecord(start, self.last)
        return known.steps.setdefault(name, StepRecord(recipe, name, {"name": name}))
