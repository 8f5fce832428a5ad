"""Settings and callbacks that all steps of a run share.

The engine does not depend on a test runner. The runner passes its settings and callbacks in an
`Environment`, such as the exceptions that mean *skip*.
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
from pytest_orchestrator.recipe.variables import ExternalValue

if TYPE_CHECKING:
    from pytest_orchestrator.core.result import Ended, Measured, Verdict
    from pytest_orchestrator.execution.lanes.context_access import ContextAccess
    from pytest_orchestrator.execution.lanes.lane import Slot
    from pytest_orchestrator.execution.locks.locks import LockWait
    from pytest_orchestrator.execution.notifications import Follower, Recorder
    from pytest_orchestrator.execution.steps.services import Services
    from pytest_orchestrator.recipe.model.step import Step

    Judge = Callable[[Step, Ended, tuple[Measured, ...]], tuple[Verdict, ...]]


def _nothing(*_: object) -> None:
    return None


class _EnvironmentCache(NamedTuple):
    """Environment variables of this process at the last read, as bytes and decoded."""

    raw: dict[bytes, bytes]
    text: dict[str, str]


_cache = _EnvironmentCache({}, {})


def _decoded(variables: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in variables}


def _of_this_process() -> dict[str, str]:
    """Return the environment variables of this process; decode only the changed ones."""
    global _cache  # noqa: PLW0603 - read three times in a step, mostly unchanged
    raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001
    cache = _cache
    if raw != cache.raw:
        # Usually one variable of forty differs at the next step: PYTEST_CURRENT_TEST.
        raw = raw.copy()
        cached = cache.raw.get
        changed = [pair for pair in raw.items() if cached(pair[0]) is not pair[1]]
        text = cache.text | _decoded(changed)
        text = text if len(text) == len(raw) else _decoded(raw.items())
        _cache = cache = _EnvironmentCache(raw, text)
    return cache.text.copy()


class PythonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of pytest's process that the processes of Python steps take over.

    Attributes:
        cwd: The working directory.
        sys_path: The folders in which modules are searched.
        log_level: The lowest level of log records that are sent to pytest.
    """

    cwd: str
    sys_path: list[str]
    log_level: int

    @classmethod
    def here(cls, root: Path) -> "PythonSettings":
        """Return the settings of this process, with the rootdir in ``sys_path``."""
        path = sys.path if str(root) in sys.path else [str(root), *sys.path]
        level = logging.getLogger().getEffectiveLevel()
        return cls(cwd=os.getcwd(), sys_path=path, log_level=level)


class RecordStyle(msgspec.Struct, frozen=True):
    """Minimum level and format of the log records in the log file of a step.

    Attributes:
        level: Lowest level of the records that are written.
        line_format: Format of a line, as in `logging.Formatter`.
        date_format: Format of the time in a line, as in `logging.Formatter`.
    """

    level: int = 0
    line_format: str = "%(levelname)-8s %(name)s:%(filename)s:%(lineno)d %(message)s"
    date_format: str | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a run, and callbacks to the test runner.

    Attributes:
        root: The folder to which paths of a recipe are relative; also on ``sys.path``.
        timeout: Seconds for a step without a timeout of its own; None means no limit.
        stretch: The factor of all timeouts; 0 switches them off.
        skips: Exceptions by which a Python step skips itself.
        expected: Exceptions by which a Python step reports an expected failure.
        passes_through: Exceptions that end the whole run, as Ctrl-C does, and are no failure.
        before_import: Called with a module's name before it is imported for the first time.
        on_event: Called with each log record and warning of a step in a process of its own.
        stop: Called with the reason and the exit status if a step ends the whole run.
        watched: True in a step's own process, whose resource usage a lane measures.
        inline: True if all Python steps run in this process, for a debugger.
        slot: The worker slot, with its lanes.
        environ: Environment variables of the steps; None means those of this process.
        given: Values of vars that come from outside the recipe, by name.
        folder: The run folder; None if the run has none.
        recipe: Path of the recipe of the steps.
        run: Id of the run, which is shown to other runs that wait for its locks.
        logs: Folder for the output of steps; None if it is not written.
        record_style: Level and format of the log records that are written to ``logs``.
        artifacts: Folder for the artifacts of steps; None if they are not copied.
        max_artifact: Size of the largest artifact, in bytes.
        resources: Folder for samples of memory and CPU time; None if they are not written.
        services: The background services of the recipe.
        attempt: Number of the attempt of a step, from 1.
        locks: Descriptors of a step's lock files; its lane keeps them open while the lane lives.
        resource_counts: Units of each counted resource of this machine.
        waiting: Called when a step waits for a lock, with the holder of the lock.
        follow: Called with events of steps, in the thread of ``main_queue``; None if unused.
        keep: Stores events of steps, in the thread in which they occur; None if unused.
        on_idle: Called once if a step in a process of its own runs for longer than
            `IDLE_AFTER`.
        main_queue: The callback queue of the thread that requests the results of steps.
        live: Descriptors to which stdout and stderr of a step are copied live; None if unused.
        secrets: The masker of outputs; reports use it too.
        context_access: Access of the programs of steps to the Context; None if they have none.
        manner: Settings for the processes of Python steps; None means the present ones of pytest.
        context_variables: Variables of the programs of a step for access to the Context; the step's
            ``args`` override them.
        max_log: Bytes after which a log is cut, with a mark.
        judge: Returns additional verdicts on a step whose step code has succeeded; None if unused.
        capacity: Size of the largest stdout that is read as a result, in bytes.
    """

    root: Path
    timeout: float | None = 3600.0
    stretch: float = 1.0
    skips: tuple[type[BaseException], ...] = ()
    expected: tuple[type[BaseException], ...] = ()
    passes_through: tuple[type[BaseException], ...] = ()
    before_import: Callable[[str], None] = _nothing
    on_event: Callable[[dict[str, Any]], None] = _nothing
    stop: Callable[[str, int | None], None] = _nothing
    watched: bool = False
    inline: bool = False
    slot: "Slot | None" = None
    environ: Mapping[str, str] | None = None
    given: Mapping[str, ExternalValue] = {}
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
    resource_counts: Mapping[str, int] = {}
    waiting: "Callable[[LockWait], None]" = _nothing
    follow: "Follower | None" = None
    keep: "Recorder | None" = None
    on_idle: Callable[[], None] | None = None
    main_queue: MainThreadQueue = msgspec.field(default_factory=MainThreadQueue)
    live: tuple[int, int] | None = None
    secrets: Masker = msgspec.field(default_factory=Masker)
    context_access: "ContextAccess | None" = None
    manner: PythonSettings | None = None
    context_variables: Mapping[str, str] = {}
    max_log: int = 100_000_000
    judge: "Judge | None" = None
    capacity: int = 16 * 1024 * 1024

    def variables(self) -> dict[str, str]:
        """Return the environment variables of a step before its own ``args`` are added."""
        return _of_this_process() if self.environ is None else dict(self.environ)

    @property
    def masked_forms(self) -> tuple[bytes, ...]:
        """Byte strings that are masked in the output of the step."""
        access = self.context_access
        return (*self.secrets.forms, *(() if access is None else access.forms))

    def live_now(self) -> tuple[int, int] | None:
        """Return the descriptors for live output, after flushing the streams; None if not live."""
        if self.live is not None:
            sys.stdout.flush()
            sys.stderr.flush()
        return self.live

    def log(self, step: str, stream: str) -> str | None:
        """Return the path of the log file of a step's stream; None if logs are not written."""
        return None if self.logs is None else f"{self.logs}/{step}.{self.attempt}.{stream}"

    def samples(self, step: str) -> str | None:
        """Return the path of the file of a step's resource samples; None if none are written."""
        folder = self.resources
        return None if folder is None else f"{folder}/{step}.{self.attempt}.jsonl"

    def seconds_for(self, timeout: float | None) -> float | None:
        """Return the seconds of a step's timeout, after default and factor; None means no limit."""
        seconds = self.timeout if timeout is None else timeout
        return seconds * self.stretch if seconds and self.stretch else None
