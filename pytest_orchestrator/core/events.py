"""Events of a run and the changes of its Context; each is one line of the journal.

Names of fields are the format of the journal: one that is added has a default, and none is
renamed or taken away while `SCHEMA_VERSION` has the same first number.
"""

from typing import Any, Final, Literal, TypeAlias, get_args

import msgspec

from pytest_orchestrator.core.json_values import Json

Op: TypeAlias = Literal["set", "append", "increment", "delete", "pop", "restore"]

SCHEMA_VERSION: Final = "1.0"


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event"):
    """Something that happened; when it did stands on its line."""


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """A session begins.

    Attributes:
        schema_version: Of the events of this run.
        run: Its id.
        root: The rootdir, absolute.
        argv: The words that pytest was given.
        host: Name of the machine.
        environment: What it runs in: versions, platform, user, revision of the project.
        resumed_from: Id of the run that this one goes on from.
    """

    schema_version: str
    run: str
    root: str = ""
    argv: tuple[str, ...] = ()
    host: str = ""
    environment: dict[str, Any] = {}
    resumed_from: str | None = None


class RecipeStarted(Event, frozen=True, kw_only=True, tag="recipe_started"):
    """A run of a recipe is about to begin; with all that is known of its steps.

    Attributes:
        recipe: Its key: the path, with the cell of its matrix where it has one.
        about: As the block of a step tells of its recipe: name, path, digest, vars.
        steps: All its steps in order, as blocks tell of them: name, line, needs, tags.
        digests: SHA-256 of the files that its steps run, by path.
    """

    recipe: str
    about: dict[str, Any]
    steps: tuple[dict[str, Any], ...]
    digests: dict[str, str] = {}


class StepWaits(Event, frozen=True, kw_only=True, tag="step_waits"):
    """A step waits for locks that somebody else has.

    Attributes:
        recipe: Key of its recipe.
        step: Its name.
        lock: What it waits for.
        owner: Who has it.
    """

    recipe: str
    step: str
    lock: str
    owner: str = ""


class StepStarted(Event, frozen=True, kw_only=True, tag="step_started"):
    """A try of a step begins; written before anything of it runs.

    Attributes:
        recipe: Key of its recipe.
        step: Its name.
        attempt: Number of the try, from 1.
        digest: SHA-256 of what it runs: its keys with their values, and its files.
        worker: Name of the pytest process that runs it.
        cut_off_in: The run that was ended while it ran; nothing of it ran in this one so far.
    """

    recipe: str
    step: str
    attempt: int = 1
    digest: str = ""
    worker: str = "main"
    cut_off_in: str | None = None


class AttemptFailed(Event, frozen=True, kw_only=True, tag="attempt_failed"):
    """A try of a step failed, and another one follows.

    Attributes:
        recipe: Key of its recipe.
        step: Its name.
        attempt: Number of the try.
        kind: Kind of the failure.
        reason: Why it failed.
        again_in: Seconds until the next try.
    """

    recipe: str
    step: str
    attempt: int
    kind: str
    reason: str
    again_in: float = 0.0


class StepFinished(Event, frozen=True, kw_only=True, tag="step_finished"):
    """It is known what became of a step; of a service once more when it has ended.

    Attributes:
        recipe: Key of its recipe.
        step: Its name.
        outcome: passed, failed, skipped or blocked.
        meets: A step that needs it may run.
        block: All that reports tell of it.
        result: What the body returned, for a run that goes on from this one.
        restored: The run that it was restored from; it did not run in this one.
        digests: Of what it did, by name: its keys, the values that they read, its files.
    """

    recipe: str
    step: str
    outcome: Literal["passed", "failed", "skipped", "blocked"]
    meets: bool
    block: dict[str, Any]
    result: Any = None
    restored: str | None = None
    digests: dict[str, str] = {}


class ContextChanged(Event, frozen=True, kw_only=True, tag="context_changed"):
    """A key of the Context is about to be changed.

    Attributes:
        key: The key.
        op: The operation.
        who: Who changes it, in the words of the writer.
        new: The value after; of append the item, of pop its place from 0, of delete null.
        by: Who it was for sure: the node id of a step or a test, or empty for all others.
        scope: Key of the recipe whose own Context it is; empty is the one of the session.
        masked: Something secret in it is replaced by ``***``.
    """

    key: str
    op: Op
    who: str
    new: Any = None
    by: str = ""
    scope: str = ""
    masked: bool = False


class ContextRestored(Event, frozen=True, kw_only=True, tag="context_restored"):
    """The Context was made what it was in another run.

    Attributes:
        snapshot: As `Context.snapshot` gives it.
        run: Id of the run that it comes from.
        scope: As for `ContextChanged`.
        by: Node ids of the steps that made the changes of each key, in their order; empty for
            all others.
    """

    snapshot: dict[str, Any]
    run: str
    scope: str = ""
    by: dict[str, tuple[str, ...]] = {}


class TestReported(Event, frozen=True, kw_only=True, tag="test_reported"):
    """What pytest says of an item, be it a step or a test written by hand.

    Attributes:
        node: Its node id.
        outcome: passed, failed, skipped, xfailed, xpassed or error.
        seconds: How long it took.
        recipe: Key of the recipe of a step.
        step: Name of the step.
        reason: One line, where it did not pass.
        text: All that pytest tells of a failure.
        worker: Name of the pytest process that ran it.
    """

    __test__ = False  # for pytest, which takes what is called Test for a test

    node: str
    outcome: Literal["passed", "failed", "skipped", "xfailed", "xpassed", "error"]
    seconds: float = 0.0
    recipe: str | None = None
    step: str | None = None
    reason: str = ""
    text: str = ""
    worker: str = "main"


class CollectionFailed(Event, frozen=True, kw_only=True, tag="collection_failed"):
    """A file could not be collected.

    Attributes:
        path: The file.
        text: All that is told of it.
        line: Where its first problem stands; 0 where that is not known.
        column: The same.
        reason: The first problem in one line.
    """

    path: str
    text: str
    line: int = 0
    column: int = 0
    reason: str = ""


class RunFinished(Event, frozen=True, kw_only=True, tag="run_finished"):
    """The session is over; nothing follows this line.

    Attributes:
        exit_status: That of pytest.
        lines: Number of the lines before this one.
        reason: Why it ended early, where it did.
        counts: Number of items by what pytest says of them.
        files: Size in bytes and SHA-256 of each file in the folder of the run, by path.
        owed: Number of the steps of finally that nobody was left to run.
    """

    exit_status: int
    lines: int
    reason: str = ""
    counts: dict[str, int] = {}
    files: dict[str, tuple[int, str]] = {}
    owed: int = 0


AnyEvent: TypeAlias = (
    RunStarted
    | RecipeStarted
    | StepWaits
    | StepStarted
    | AttemptFailed
    | StepFinished
    | ContextChanged
    | ContextRestored
    | TestReported
    | CollectionFailed
    | RunFinished
)

KNOWN: Final = frozenset(one.__struct_config__.tag for one in get_args(AnyEvent))
"""What may stand in the field ``event``; a reader passes by what it does not know."""


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One change of one key.

    Attributes:
        key: The key.
        ts: When, in ISO 8601 UTC with microseconds; unique and rising within a Context, so
            it orders changes made by several threads.
        who: Who made it: a step's name, or what the writer calls itself.
        op: The operation.
        old: The value before, for pop the item; None where there was none, and for append.
        new: The value after, for append the item; None for delete and pop.
        index: Place of the item in the list, for append and pop alone.
        masked: Something secret in old or new is replaced by ``***``.
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
        told: dict[str, Json] = {"ts": self.ts, "who": self.who, "op": self.op}
        told |= {"old": self.old, "new": self.new}
        return told if self.index is None else {**told, "index": self.index}
