"""File of ``--recipe-measurements``: the measurements of each step that ends, while pytest runs.

The file follows the journal: rows are written after the line of the step, in the process that
writes the journal, from the masked block. An error of the file cannot change the run.
"""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.events import AnyEvent, StepFinished, StepStarted
from pytest_orchestrator.plugin.registered import Plugin
from pytest_orchestrator.runs.block import Block, from_block
from pytest_orchestrator.runs.history.build import measurements_in
from pytest_orchestrator.runs.history.model import joined
from pytest_orchestrator.runs.measurements.file import MeasurementFile, OtherFile
from pytest_orchestrator.runs.measurements.rows import Origin, rows_of_step

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.session_state import SessionState
    from pytest_orchestrator.runs.history.model import PastMeasurement

NAME = "orchestrator-measurements"
# The disk, or the quota of the user.
_FULL = (errno.ENOSPC, errno.EDQUOT)


def check(path: Path) -> None:
    """Check the file before the session begins.

    Raises:
        pytest.UsageError: The file has other content, or cannot be written.
    """
    try:
        MeasurementFile(path).check()
    except OtherFile as error:
        raise pytest.UsageError(
            f"{path} is no file of measurements of this version: {error}; name a new file"
        ) from None
    except OSError as error:
        raise _cannot_write(path, error) from None


def begin(state: "SessionState", path: Path) -> "SessionMeasurements":
    """Create the file and register the plugin that appends to it.

    Raises:
        pytest.UsageError: The file cannot be created.
    """
    plugin = SessionMeasurements(state, path)
    try:
        plugin.file.create()
    except OSError as error:
        if error.errno not in _FULL:  # a full disk stops no run, neither now nor later
            raise _cannot_write(path, error) from None
    state.config.pluginmanager.register(plugin, NAME)
    return plugin


def _cannot_write(path: Path, error: OSError) -> pytest.UsageError:
    return pytest.UsageError(f"measurements cannot be written to {path}: {error.strerror}")


class SessionMeasurements(Plugin):
    """Plugin that appends the measurements of steps to a file.

    Attributes:
        file: The file.
    """

    def __init__(self, state: "SessionState", path: Path) -> None:
        self.file = MeasurementFile(path)
        self._state = state
        self._written: dict[tuple[str, str, str], list[PastMeasurement]] = {}
        self._people: dict[str, None] = {}
        self._missing = 0
        self._error = ""

    def after(self, note: Callable[[AnyEvent, int], None]) -> Callable[[AnyEvent, int], None]:
        """Return a callback of the journal that calls `note` and then appends to the file."""

        def on_written(event: AnyEvent, offset: int) -> None:
            note(event, offset)
            if isinstance(event, StepFinished):
                self._finished(event)
            elif isinstance(event, StepStarted):
                self._forget(event)

        return on_written

    def _forget(self, event: StepStarted) -> None:
        for key in [one for one in self._written if one[:2] == (event.recipe, event.step)]:
            del self._written[key]

    def _finished(self, event: StepFinished) -> None:
        """Append the measurements of a step, unless an earlier event of the step had them."""
        data = event.block
        if data.get("answers"):
            self._people |= dict.fromkeys(str(one["who"]) for one in data["answers"])
        if event.restored or not (data.get("measurements") or data.get("elements")):
            return
        block = from_block(data)
        if block is None:
            return
        measured = list(measurements_in(block.measurements or (), block.elements or ()))
        key = event.recipe, event.step, block.run.worker
        if not measured or self._written.get(key) == measured:
            return  # the report of pytest changed another part of the block
        self._written[key] = measured
        origin = self._origin(block)
        try:
            self.file.append(rows_of_step(origin, measured))
        except (OSError, UnicodeError) as error:
            self._missing += len(measured)
            self._error = getattr(error, "strerror", "") or str(error)

    def _origin(self, block: Block) -> Origin:
        meta, station = block.recipe.test_meta, self._state.station
        return Origin(
            run=block.run.id,
            time=block.time.stop if block.time else "",
            recipe=block.recipe.path,
            cell=block.recipe.cell or "",
            step=block.step.name,
            attempt=block.step.attempt or 1,
            state=block.step.state,
            test_meta=meta,
            station=joined(meta.get("station")) or (station.name if station else ""),
            operator=", ".join(self._people),
        )

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print how many measurements are not in the file, and how to export them."""
        if self._missing:
            run = self._state.folder.path.name
            terminalreporter.ensure_newline()
            terminalreporter.write_line(
                f"orchestrator: {self._missing} measurements are missing in {self.file.path}: "
                f"{self._error}; export them: pytest-orchestrator measurements --run {run}",
                yellow=True,
            )
