"""Events of a run and changes of its Context; each event is one line of the journal.

The names of fields are the format of the journal: a new field has a default, and no field is
renamed or removed while `SCHEMA_VERSION` has the same first number.
"""

from datetime import datetime
from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from pytest_orchestrator.core.json_values import Json

Op: TypeAlias = Literal["set", "append", "increment", "delete", "pop", "restore"]

SCHEMA_VERSION: Final = "1.0"


def epoch_seconds(ts: str) -> float:
    """Convert a time in ISO 8601 to seconds since the epoch."""
    return datetime.fromisoformat(ts).timestamp()


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """Base class of all events; the line of the journal adds the time."""


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """The session begins.

    Attributes:
        schema_version: Version of the format of the events.
        run: Id of the run.
        root: The rootdir, absolute.
        argv: The command line arguments of pytest.
        host: Name of the machine.
        environment: Versions, platform, user, and revision of the project.
        resumed_from: Id of the run that this one resumes.
        replay: Id of the run whose exchanges answered for the instruments; empty without one.
    """

    schema_version: str
    run: str
    root: str = ""
    argv: tuple[str, ...] = ()
    host: str = ""
    environment: dict[str, Any] = {}
    resumed_from: str | None = None
    replay: str = ""


class RecipeStarted(Event, frozen=True, kw_only=True, tag="recipe_started"):
    """A run of a recipe is about to begin; the event describes its steps.

    Attributes:
        recipe: Key of the recipe: its path, with the cell of its matrix if it has one.
        about: The recipe as in the block of a step: name, path, digest, vars.
        steps: All its steps in order, with fields as in blocks: name, line, needs, tags.
        unselected: Names of the steps that were not selected.
        digests: SHA-256 of the files that its steps run, by path.
    """

    recipe: str
    about: dict[str, Any]
    steps: tuple[dict[str, Any], ...]
    unselected: tuple[str, ...] = ()
    digests: dict[str, str] = {}


class StepWaits(Event, frozen=True, kw_only=True, tag="step_waits"):
    """A step waits for a lock that another owner holds.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step; empty if the recipe waits for its own locks.
        lock: The lock or counted resource that the step waits for.
        owner: Description of the owner.
    """

    recipe: str
    step: str
    lock: str
    owner: str = ""


class StepStarted(Event, frozen=True, kw_only=True, tag="step_started"):
    """An attempt of a step begins; the event is written before any step code runs.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        attempt: Number of the attempt, from 1.
        digest: SHA-256 of the step: its keys with their values, and its files.
        worker: Name of the pytest process that runs the step.
        cut_off_in: Id of the earlier run that ended while the step ran; in this run the step has
            not run yet.
        element: Index of the element of ``foreach`` for which the step code starts, from 0.
        elements: Number of elements of ``foreach``, in the event before the first element.
    """

    recipe: str
    step: str
    attempt: int = 1
    digest: str = ""
    worker: str = "main"
    cut_off_in: str | None = None
    element: int | None = None
    elements: int | None = None


class AttemptFailed(Event, frozen=True, kw_only=True, tag="attempt_failed"):
    """An attempt of a step failed, and another one follows.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        attempt: Number of the failed attempt.
        kind: Kind of the failure.
        reason: Why the attempt failed.
        again_in: Seconds until the next attempt.
        element: Index of the element of ``foreach`` for which the attempt failed, from 0.
    """

    recipe: str
    step: str
    attempt: int
    kind: str
    reason: str
    again_in: float = 0.0
    element: int | None = None


class ElementFinished(Event, frozen=True, kw_only=True, tag="element_finished"):
    """The outcome of one element of a step with ``foreach`` is final.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        element: Index of the element, from 0.
        outcome: passed, failed, skipped or interrupted; blocked if its step code did not run.
        work: SHA-256 of the step, as the digest of `StepStarted`.
        digest: Digest of the whole list; a run that resumes this one keeps the element only if its
            list and its step have the same digests.
        block: The element as in the block of the step.
        result: The result of the step code for the element.
        outputs: The values of the step's ``outputs`` for the element, by key.
        restored: Id of the run that the element was restored from; it did not run in this one.
        changes: Only of a restored element: the changes of the Context that its step code made.
    """

    recipe: str
    step: str
    element: int
    outcome: Literal["passed", "failed", "skipped", "interrupted", "blocked"]
    work: str = ""
    digest: str = ""
    block: dict[str, Any] = {}
    result: Any = None
    outputs: dict[str, Any] = {}
    restored: str | None = None
    changes: tuple[dict[str, Any], ...] = ()


class QuestionAsked(Event, frozen=True, kw_only=True, tag="question_asked"):
    """A step asks a person, because the answer was not given before the run.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        attempt: Number of the attempt, from 1.
        message: The text of the question.
        fields: Names of the values that are asked for, and ``button``.
        element: Index of the element of ``foreach``, from 0.
    """

    recipe: str
    step: str
    attempt: int = 1
    message: str = ""
    fields: tuple[str, ...] = ()
    element: int | None = None


class QuestionAnswered(Event, frozen=True, kw_only=True, tag="question_answered"):
    """A question of a step has its answer.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        attempt: Number of the attempt, from 1.
        values: The values by field; a secret is ``***``.
        button: The button that was chosen.
        who: The user of the operating system, or the name of the operator on the page.
        where: ``terminal``, ``answers`` if it was given before the run, or ``page``.
        when: Time of the answer in ISO 8601 UTC.
        element: Index of the element of ``foreach``, from 0.
        dut: Keys of the unit under test that have these values from now on.
    """

    recipe: str
    step: str
    attempt: int = 1
    values: dict[str, Any] = {}
    button: str = ""
    who: str = ""
    where: str = ""
    when: str = ""
    element: int | None = None
    dut: dict[str, str] = {}


class StepHeld(Event, frozen=True, kw_only=True, tag="step_held"):
    """The session holds before a step (``--recipe-break``), or a person gave a command there.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        command: The command as it was typed; empty when a hold begins.
        who: The user of the operating system.
    """

    recipe: str
    step: str
    command: str = ""
    who: str = ""


class SampleTaken(Event, frozen=True, kw_only=True, tag="sample_taken"):
    """A sample of a value that the recipe watches while its steps run.

    Attributes:
        recipe: Key of the recipe.
        name: Name of the sampled value.
        value: The sample.
        moment: Its time, in seconds since the epoch.
        segment: Number of the segment of the curve, from 1; each resumed run begins a new one.
        is_outside: True if the sample is outside its limits.
    """

    recipe: str
    name: str
    value: float
    moment: float
    segment: int = 1
    is_outside: bool = False


class StepFinished(Event, frozen=True, kw_only=True, tag="step_finished"):
    """The outcome of a step is final; a service has a second event when it has ended.

    Attributes:
        recipe: Key of the recipe.
        step: Name of the step.
        outcome: passed, failed, skipped or blocked; interrupted if it was ended from outside; not
            run if it was selected and the session ended before it.
        meets: True if a step that needs this one may run.
        block: The block of the step, which reports show.
        result: The result of the step code, for a run that resumes this one.
        restored: Id of the run that the step was restored from; it did not run in this one.
        digests: Digests of what the step did, by name: its keys, the values that these read, its
            files.
    """

    recipe: str
    step: str
    outcome: Literal["passed", "failed", "skipped", "blocked", "interrupted", "not run"]
    meets: bool
    block: dict[str, Any]
    result: Any = None
    restored: str | None = None
    digests: dict[str, str] = {}


class InstrumentOpened(Event, frozen=True, kw_only=True, tag="instrument_opened"):
    """The use of an instrument begins; the event is written before any command that changes it.

    Attributes:
        recipe: Key of the recipe, or the path of a test module.
        instrument: Name of the instrument in the station file.
        resource: Its VISA resource.
        idn: Its answer to ``*IDN?``; empty if it gave none.
        calibrated: Date of its calibration, in ISO 8601; empty if the station file names none.
        due: Date on which the calibration is due; empty if the station file names none.
        overdue: A sentence if the calibration is overdue; else empty.
        has_safe_state: True if the station file has commands for its safe state.
        backend: Its backend; empty in journals of older versions.
        simulation: The file of its simulation; empty for a real instrument.
        safe: The commands of its safe state; empty if one of them contains a secret.
        settings: Its other keys in the station file that differ from their defaults, without
            those that contain a secret.
    """

    recipe: str
    instrument: str
    resource: str
    idn: str = ""
    calibrated: str = ""
    due: str = ""
    overdue: str = ""
    has_safe_state: bool = False
    backend: str = ""
    simulation: str = ""
    safe: tuple[str, ...] = ()
    settings: dict[str, Any] = {}


SafeConfirmation: TypeAlias = Literal["", "confirmed", "sent, not confirmed"]
SENT_NOT_CONFIRMED: Final = "sent, not confirmed"
"""Confirmation of a safe state whose commands were sent to an instrument that cannot answer."""


class InstrumentSafe(Event, frozen=True, kw_only=True, tag="instrument_safe"):
    """The use of an instrument has ended: the commands of its safe state were sent, or dropped.

    Attributes:
        recipe: Key of the recipe that used it last, or the path of a test module.
        instrument: Name of the instrument in the station file.
        reason: Reason why the safe state was not reached; empty if it was.
        transcript: Lines of what was sent and received.
        run: Id of the earlier run that owed the safe state; empty for this run.
        confirmation: ``confirmed`` if the instrument has answered after the commands as it should;
            ``sent, not confirmed`` if it cannot answer; empty if no commands were sent, if they
            failed, and in journals of versions without this field.
    """

    recipe: str
    instrument: str
    reason: str = ""
    transcript: tuple[str, ...] = ()
    run: str = ""
    confirmation: SafeConfirmation = ""


ExchangeOperation: TypeAlias = Literal["query", "block", "write", "write_block", "read", "open"]


class InstrumentExchange(Event, frozen=True, kw_only=True, tag="instrument_exchange"):
    """A command was sent to an instrument, or an answer was awaited; the event follows its end.

    Step types that hold a connection of their own record their exchanges too: for each ``send`` of
    a ``serial`` step a ``write``, and for each ``expect`` a ``read``. These steps record no
    ``open``, no exchange that the end of the step cuts off, and nothing on a worker of Dask.

    Attributes:
        recipe: Key of the recipe, or path of a test module; empty for a safe state of another run.
        instrument: Name of the instrument in the station file, or the port of a ``serial`` step.
        order: Number of the request in its pytest process, from 1: the order of execution, which
            lines that wait at the same time may not have.
        do: ``query``, ``block`` (a query that is answered by a block), ``write``, ``write_block``,
            ``read`` (of an answer to a ``write``) or ``open`` (of a connection).
        command: The command; for a ``serial`` step the text that was sent, or the expression
            that was expected.
        answer: The text that was received; null without one. For a ``serial`` step it begins after
            the last match.
        data: Path in the run folder of the bytes that were sent or received; its last part is
            their SHA-256. Empty without any.
        error: The error; empty without one.
        kind: The kind of the error, such as ``timeout``; ``interrupted`` if the step ended before
            the answer.
        step: Name of the step or sampled value, or of a hand-written test; empty for commands of
            the safe state.
        attempt: Number of the attempt, from 1.
        element: Index of the element of ``foreach``, from 0.
        worker: Name of the pytest process.
        gap: ``masked`` if it has a secret: in its texts that is ``***``, and its bytes are not
            kept; ``cut`` if the exchanges of the process have become too large: this one has no
            texts and no bytes, and no later one is recorded.
    """

    recipe: str
    instrument: str
    order: int
    do: ExchangeOperation
    command: str = ""
    answer: str | None = None
    data: str = ""
    error: str = ""
    kind: str = ""
    step: str = ""
    attempt: int = 1
    element: int | None = None
    worker: str = "main"
    gap: Literal["", "masked", "cut"] = ""


class DebtForgiven(Event, frozen=True, kw_only=True, tag="debt_forgiven"):
    """A person has dropped a debt of an earlier run: a safe state, or ``finally`` steps.

    Attributes:
        run: Id of the earlier run.
        instrument: Name of the instrument whose safe state that run owes; empty for all its safe
            states and ``finally`` steps.
        reason: The reason that the person gave.
        who: The user of the operating system.
    """

    run: str
    instrument: str = ""
    reason: str
    who: str


class ContextChanged(Event, frozen=True, kw_only=True, tag="context_changed"):
    """A key of the Context is about to be changed.

    Attributes:
        key: The key.
        op: The operation.
        who: Name of the writer, as it calls itself.
        new: The value after the change; for append the item, for pop its index from 0, for
            delete null.
        by: Verified author: the node id of a step or test, or empty for all others.
        scope: Key of the recipe whose Context it is; empty for the Context of the session.
        masked: True if a secret in the event is replaced by ``***``.
    """

    key: str
    op: Op
    who: str
    new: Any = None
    by: str = ""
    scope: str = ""
    masked: bool = False


class ContextReplaced(Event, frozen=True, kw_only=True, tag="context_replaced"):
    """Several keys of the Context are about to be changed by one operation: all or none.

    Attributes:
        changes: The changes, in their order.
        moments: The time of each change, in microseconds since the epoch.
        history: Earlier changes of keys that had no history, as `Context.get_history` returns
            them; empty in the journal of a session.
    """

    changes: tuple[ContextChanged, ...]
    moments: tuple[int, ...]
    history: dict[str, tuple[dict[str, Any], ...]] = {}


class ContextRestored(Event, frozen=True, kw_only=True, tag="context_restored"):
    """The Context was restored from another run.

    Attributes:
        snapshot: The result of `Context.snapshot`.
        run: Id of the run that the snapshot comes from.
        scope: As for `ContextChanged`.
        by: For each key the node ids of the steps that made its changes, in their order; an
            empty text for a change that no step made.
    """

    snapshot: dict[str, Any]
    run: str
    scope: str = ""
    by: dict[str, tuple[str, ...]] = {}


class TestReported(Event, frozen=True, kw_only=True, tag="test_reported"):
    """pytest's report of an item: a step or a hand-written test.

    Attributes:
        node: Node id of the item.
        outcome: passed, failed, skipped, xfailed, xpassed or error; of a step also interrupted or
            not run.
        seconds: Duration in seconds.
        recipe: Key of the recipe, if the item is a step.
        step: Name of the step, if the item is a step.
        reason: One line of explanation, if the item did not pass.
        text: pytest's whole text of a failure.
        worker: Name of the pytest process that ran the item.
    """

    __test__ = False  # pytest would collect a class whose name begins with Test

    node: str
    outcome: Literal[
        "passed", "failed", "skipped", "xfailed", "xpassed", "error", "interrupted", "not run"
    ]
    seconds: float = 0.0
    recipe: str | None = None
    step: str | None = None
    reason: str = ""
    text: str = ""
    worker: str = "main"


class ReportInfo(Event, frozen=True, kw_only=True, tag="report_info"):
    """Rows and links for the reports of a recipe, which plugins gave at the end of the session.

    Attributes:
        recipe: Key of the recipe.
        rows: Texts by their labels.
        links: Addresses by the texts of the links.
    """

    recipe: str
    rows: dict[str, str] = {}
    links: dict[str, str] = {}


class CollectionFailed(Event, frozen=True, kw_only=True, tag="collection_failed"):
    """A file could not be collected.

    Attributes:
        path: The file.
        text: The whole text of the error.
        line: Line of its first problem; 0 if unknown.
        column: Column of its first problem; 0 if unknown.
        reason: The first problem in one line.
    """

    path: str
    text: str
    line: int = 0
    column: int = 0
    reason: str = ""


class RunFinished(Event, frozen=True, kw_only=True, tag="run_finished"):
    """The session has ended; this is the last line of the journal.

    Attributes:
        exit_status: Exit status of pytest.
        lines: Number of lines before this one.
        reason: Why the session ended early, if it did.
        counts: Number of items by outcome.
        files: Size in bytes and SHA-256 of each file in the run folder, by path.
        owed: Number of pending finally steps: the session ended before they could run.
        debts: Number of safe states that the run owes, and of debts of earlier runs that it paid
            or dropped.
    """

    exit_status: int
    lines: int
    reason: str = ""
    counts: dict[str, int] = {}
    files: dict[str, tuple[int, str]] = {}
    owed: int = 0
    debts: int = 0


AnyEvent: TypeAlias = (
    RunStarted
    | RecipeStarted
    | StepWaits
    | StepStarted
    | AttemptFailed
    | ElementFinished
    | QuestionAsked
    | QuestionAnswered
    | StepHeld
    | SampleTaken
    | InstrumentOpened
    | InstrumentSafe
    | InstrumentExchange
    | DebtForgiven
    | StepFinished
    | ContextChanged
    | ContextReplaced
    | ContextRestored
    | TestReported
    | ReportInfo
    | CollectionFailed
    | RunFinished
)

KNOWN: Final = frozenset(event.__struct_config__.tag for event in get_args(AnyEvent))
"""Valid values of the field ``event``; a reader ignores events with other values."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change of one key.

    Attributes:
        key: The key.
        ts: Time in ISO 8601 UTC with microseconds; unique and increasing within a Context, so
            it orders changes made by several threads.
        who: Name of the writer: the name of a step, or the name that the writer calls itself.
        op: The operation.
        old: The value before the change, for pop the item; None if no value existed, and for
            append.
        new: The value after the change, for append the item; None for delete and pop.
        index: Index of the item in the list, for append and pop only.
        masked: True if a secret in old or new is replaced by ``***``.
    """

    key: str
    ts: str
    who: str
    op: Op
    old: Any
    new: Any
    index: int | None = None
    masked: bool = False

    def as_dict(self) -> dict[str, Json]:
        """Return ``{ts, who, op, old, new}``, for append and pop with ``index``."""
        fields: dict[str, Json] = {"ts": self.ts, "who": self.who, "op": self.op}
        fields |= {"old": self.old, "new": self.new}
        return fields if self.index is None else {**fields, "index": self.index}
