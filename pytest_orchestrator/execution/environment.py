"""Settings and callbacks that all steps of a run share.

The engine knows no test runner: what it needs of one (which exceptions mean *skip*, how
a module's assertions get rewritten) comes in here.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.notifications import MainThreadQueue
from pytest_orchestrator.recipe.variables import Given

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import Ended, Measured, Verdict
    from pytest_orchestrator.execution.lanes.context_access import ContextAccess
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.locks.recipe_locks import LockWait
    from pytest_orchestrator.execution.notifications import Follow, Keep
    from pytest_orchestrator.execution.steps.services import Services
    from pytest_orchestrator.recipe.model.step import Step

    Judge = Callable[[Step, Ended, tuple[Measured, ...]], tuple[Verdict, ...]]


def _nothing(*_: object) -> None:
    return None


class _Seen(NamedTuple):
    """An environment as it was last seen, and its text."""

    raw: dict[bytes, bytes]
    text: dict[str, str]


_seen = _Seen({}, {})


def _decoded(variables: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in variables}


def _of_this_process() -> dict[str, str]:
    """Return this process's environment: a dict of ``os.environ`` decodes it all each time."""
    global _seen  # noqa: PLW0603 - asked for thrice in a step, and the same each time
    raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001
    seen = _seen
    if raw != seen.raw:
        # One variable in forty is another one at the next step: PYTEST_CURRENT_TEST.
        raw = raw.copy()
        known = seen.raw.get
        fresh = [pair for pair in raw.items() if known(pair[0]) is not pair[1]]
        text = seen.text | _decoded(fresh)
        _seen = seen = _Seen(raw, text if len(text) == len(raw) else _decoded(raw.items()))
    return seen.text.copy()


class Manner(msgspec.Struct, frozen=True, kw_only=True):
    """How Python steps find the process that asks for them.

    Attributes:
        cwd: Their working directory.
        sys_path: Where modules are looked for.
        log_level: The level from which on log records are kept.
    """

    cwd: str
    sys_path: list[str]
    log_level: int

    @classmethod
    def here(cls, root: Path) -> "Manner":
        """Return that of this process; modules are looked for in the rootdir too."""
        path = sys.path if str(root) in sys.path else [str(root), *sys.path]
        level = logging.getLogger().getEffectiveLevel()
        return cls(cwd=os.getcwd(), sys_path=path, log_level=level)


class RecordStyle(msgspec.Struct, frozen=True):
    """Level and format of the log records in the log of a step.

    Attributes:
        level: Lowest level of the records that are written.
        line_format: Format of a line, as in `logging.Formatter`.
        date_format: Format of its time, as in `logging.Formatter`.
    """

    level: int = 0
    line_format: str = "%(levelname)-8s %(name)s:%(filename)s:%(lineno)d %(message)s"
    date_format: str | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The surroundings of a run.

    Attributes:
        root: The folder that relative paths of a recipe start from; also on ``sys.path``.
        timeout: Seconds for a step that names no timeout of its own; None is for ever.
        stretch: What all timeouts are multiplied by; 0 switches them off.
        skips: Exceptions by which a Python step says that it is to be skipped.
        expected: Exceptions by which a Python step says that it was expected to fail.
        passes_through: Exceptions that end the whole run, as Ctrl-C does, and are no failure.
        before_import: Called with a module's name before it is imported for the first time.
        hear: Called with each log record and warning of a step in a process of its own.
        stop: Called with the words of a step that ends the whole run, and the exit status.
        watched: True in a process of the step's own, which its lane measures.
        inline: True where all Python steps run in this process (a person is debugging).
        slot: The lanes that steps run in.
        environ: Environment of the steps; None is that of this process, as it is at their start.
        given: Values of vars that come from outside the recipe, by name.
        folder: The folder of the run; None where there is none.
        recipe: Path of the recipe that the steps belong to.
        run: Id of the run, for those who wait for a lock of it.
        logs: Folder that the output of steps is written to; None is nowhere.
        record_style: Level and format of the log records that are written there.
        artifacts: Folder that files of steps are copied to; None is nowhere.
        max_artifact: Bytes that such a file has at most.
        resources: Folder that samples of memory and CPU time are written to; None is nowhere.
        services: What goes on in the background of the recipe.
        attempt: Number of the try of a step, from 1.
        locks: Open files that are the locks of a step; its lane holds them as long as it lives.
        resources_there: How much there is of each counted resource of this machine.
        waiting: Is told of a step that waits for a lock, and who has that.
        follow: Is told what happens to steps, in the thread of the bell; None where nobody is.
        keep: Keeps what happens to steps, in the thread where it happens; None where nobody does.
        lull: Is called once while a step in a process of its own goes on for longer than
            `IDLE_AFTER`.
        bell: Wakes the thread that asks for steps.
        live: Where what a step prints to stdout and stderr is shown as it comes; None is nowhere.
        secrets: What is masked in such output; reports mask by the same.
        door: Lets the programs of steps ask the Context; None where they cannot.
        manner: How Python steps find this process; None is as it is at their start.
        handed: Variables that tell the programs of this step how; what its ``args`` say wins.
        max_log: Bytes after which such a file is cut, with a mark.
        judge: Gives more criteria of a step whose body did as wanted; None where there are none.
        capacity: Largest stdout, in bytes, that is kept to be read as a result.
    """

    root: Path
    timeout: float | None = 3600.0
    stretch: float = 1.0
    skips: tuple[type[BaseException], ...] = ()
    expected: tuple[type[BaseException], ...] = ()
    passes_through: tuple[type[BaseException], ...] = ()
    before_import: Callable[[str], None] = _nothing
    hear: Callable[[dict[str, Any]], None] = _nothing
    stop: Callable[[str, int | None], None] = _nothing
    watched: bool = False
    inline: bool = False
    slot: "Slot | None" = None
    environ: Mapping[str, str] | None = None
    given: Mapping[str, Given] = {}
    folder: Path | None = None
    recipe: str = ""
    run: str = ""
    logs: Path | None = None
    record_style: RecordStyle = RecordStyle()
    artifacts: Path | None = None
    max_artifact: int = 1_000_000_000
    resources: Path | None = None
    services: "Services | None" = None
    attempt: int = 1
    locks: tuple[int, ...] = ()
    resources_there: Mapping[str, int] = {}
    waiting: "Callable[[LockWait], None]" = _nothing
    follow: "Follow | None" = None
    keep: "Keep | None" = None
    lull: Callable[[], None] | None = None
    bell: MainThreadQueue = msgspec.field(default_factory=MainThreadQueue)
    live: tuple[int, int] | None = None
    secrets: Masker = msgspec.field(default_factory=Masker)
    door: "ContextAccess | None" = None
    manner: Manner | None = None
    handed: Mapping[str, str] = {}
    max_log: int = 100_000_000
    judge: "Judge | None" = None
    capacity: int = 16 * 1024 * 1024

    def variables(self) -> dict[str, str]:
        """Return the environment that a step is started with, before its own ``args``."""
        return _of_this_process() if self.environ is None else dict(self.environ)

    @property
    def masked_forms(self) -> tuple[bytes, ...]:
        """What is masked in what the step prints."""
        return (*self.secrets.forms, *(() if self.door is None else self.door.forms))

    def live_now(self) -> tuple[int, int] | None:
        """Return where output is shown as it comes; what was printed here before comes first."""
        if self.live is not None:
            sys.stdout.flush()
            sys.stderr.flush()
        return self.live

    def log(self, step: str, stream: str) -> str | None:
        """Return the path of the log of a stream of a step, None where there is none."""
        return None if self.logs is None else f"{self.logs}/{step}.{self.attempt}.{stream}"

    def samples(self, step: str) -> str | None:
        """Return the path for the samples of a step, None where there is none."""
        folder = self.resources
        return None if folder is None else f"{folder}/{step}.{self.attempt}.jsonl"

    def seconds_for(self, timeout: float | None) -> float | None:
        """Return the seconds that a step may take, or None where nothing limits it."""
        seconds = self.timeout if timeout is None else timeout
        return seconds * self.stretch if seconds and self.stretch else None
