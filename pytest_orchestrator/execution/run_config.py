"""Settings of a run that all its steps share and that no step changes."""

import logging
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from itertools import compress
from operator import is_not
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.core.secrets import Masker
from pytest_orchestrator.execution.notifications import MainThreadQueue

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import InstrumentExchange
    from pytest_orchestrator.execution.instruments.bench import Bench
    from pytest_orchestrator.execution.lanes.context_access import ContextAccess
    from pytest_orchestrator.execution.lanes.watchdog import Watchdog
    from pytest_orchestrator.instrument import Author
    from pytest_orchestrator.recipe.model.step import Step
    from pytest_orchestrator.recipe.variables import ExternalValue


class _EnvironmentCache(msgspec.Struct, frozen=True):
    """Environment variables of this process at the last read, as bytes and decoded."""

    raw: dict[bytes, bytes]
    text: dict[str, str]


_cache = _EnvironmentCache({}, {})


def _decoded(variables: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in variables}


def process_variables() -> dict[str, str]:
    """Return the environment variables of this process; decode only the changed ones."""
    global _cache  # noqa: PLW0603 - read three times in a step, mostly unchanged
    raw: dict[bytes, bytes] = os.environ._data  # type: ignore[attr-defined] # noqa: SLF001
    cache = _cache
    if raw != cache.raw:
        # Usually one variable of forty differs at the next step: PYTEST_CURRENT_TEST.
        raw = raw.copy()
        cached = cache.raw.get
        is_changed = map(is_not, raw.values(), map(cached, raw))
        changed = compress(raw.items(), is_changed)
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


class RunConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a run.

    Attributes:
        root: The folder to which paths of a recipe are relative; also on ``sys.path``.
        run_id: Id of the run, which is shown to other runs that wait for its locks.
        folder: The run folder; None if the run has none.
        timeout: Seconds for a step without a timeout of its own; None means no limit.
        timeout_factor: The factor of all timeouts; 0 switches them off.
        skip_exceptions: Exceptions by which a Python step skips itself.
        xfail_exceptions: Exceptions by which a Python step reports an expected failure.
        exit_exceptions: Exceptions that end the whole run, as Ctrl-C does, and are no failure.
        runs_inline: True if all Python steps run in this process, for a debugger.
        lane_measures_io: True in the process of a Python step: a lane measures its storage access.
        var_values: Values of vars that come from outside the recipe, by name.
        resource_units: Units of each counted resource of this machine.
        hosts: Hosts of OpenSSH by the names that the station gives them.
        python_settings: Settings for the processes of Python steps; None means the current
            settings of pytest's process.
        record_style: Level and format of the log records that are written to files.
        max_log: Bytes after which a log is cut, with a mark.
        max_artifact: Size of the largest artifact, in bytes.
        max_result: Size of the largest stdout that is read as a result, in bytes.
        has_terminal: Returns True if a person can answer at the terminal of the session.
        requirements_are_strict: True if a missing requirement of a recipe fails its steps.
        secrets: The masker of outputs; reports use it too.
        context_access: Access of the programs of steps to the Context; None if they have none.
        watchdog: The watchdog for inline steps; None if they are not watched.
        bench: The instruments of the station; None without a station file.
        recorded: Returns the exchanges of an author in the run that is replayed; None without one.
        main_queue: The callback queue of the thread that requests the results of steps.
    """

    root: Path
    run_id: str = ""
    folder: Path | None = None
    timeout: float | None = 3600.0
    timeout_factor: float = 1.0
    skip_exceptions: tuple[type[BaseException], ...] = ()
    xfail_exceptions: tuple[type[BaseException], ...] = ()
    exit_exceptions: tuple[type[BaseException], ...] = ()
    runs_inline: bool = False
    lane_measures_io: bool = False
    var_values: "Mapping[str, ExternalValue]" = {}
    resource_units: Mapping[str, int] = {}
    hosts: Mapping[str, str] = {}
    python_settings: PythonSettings | None = None
    record_style: RecordStyle = RecordStyle()
    max_log: int = 100_000_000
    max_artifact: int = 1_000_000_000
    max_result: int = 16 * 1024 * 1024
    has_terminal: Callable[[], bool] = lambda: True
    requirements_are_strict: bool = False
    secrets: Masker = msgspec.field(default_factory=Masker)
    context_access: "ContextAccess | None" = None
    watchdog: "Watchdog | None" = None
    bench: "Bench | None" = None
    recorded: "Callable[[Author], tuple[InstrumentExchange, ...]] | None" = None
    main_queue: MainThreadQueue = msgspec.field(default_factory=MainThreadQueue)

    def replays(self, step: "Step") -> bool:
        """Return True if a record takes the place of the device of a step, which needs no lock."""
        kind = None if self.recorded is None else getattr(step, "kind", None)
        return kind is not None and bool(kind.replays)

    @property
    def masked_forms(self) -> tuple[bytes, ...]:
        """Byte strings that are masked in the output of steps."""
        access = self.context_access
        return (*self.secrets.forms, *(() if access is None else access.forms))

    def seconds_for(self, timeout: float | None) -> float | None:
        """Return the timeout of a step in seconds, with the default and the factor of the run.

        None means no limit.
        """
        seconds = self.timeout if timeout is None else timeout
        return seconds * self.timeout_factor if seconds and self.timeout_factor else None
