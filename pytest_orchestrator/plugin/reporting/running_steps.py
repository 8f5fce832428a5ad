"""Running steps of a session, known from the events of this process or of xdist workers."""

import os
import threading
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from pytest_orchestrator.core.files import step_file_name
from pytest_orchestrator.execution.notifications import AttemptStarted, Finished, RetryScheduled

if TYPE_CHECKING:
    from pytest_orchestrator.core.events import AnyEvent
    from pytest_orchestrator.execution.notifications import RecordedEvent
    from pytest_orchestrator.recipe import Recipe
    from pytest_orchestrator.reports.terminal.status_line import RunningStep
    from pytest_orchestrator.runs.folder import RunFolder

_TAIL = 4096


class _State(msgspec.Struct, frozen=True):
    """State of a running step.

    Attributes:
        name: Name of the step.
        since: Start of the step, as a monotonic time.
        logs: Path of its logs, without the number of the element and what follows.
        element: Index of the running element of ``foreach``; None before the first one.
        elements: Number of elements.
        attempt: Number of the running or next attempt.
        attempts: Greatest number of attempts; 0 if unknown.
        resumes_at: Monotonic time at which that attempt starts; 0 if it has started.
    """

    name: str
    since: float
    logs: str
    element: int | None = None
    elements: int = 0
    attempt: int = 1
    attempts: int = 0
    resumes_at: float = 0.0


class RunningSteps:
    """Table of the running steps. All methods may be called by any thread.

    Args:
        folder: The folder of the run, in which the logs of the steps are.
    """

    def __init__(self, folder: "RunFolder") -> None:
        self._folder = folder
        self._logs: dict[str, str] = {}
        self._steps: dict[tuple[str, str], _State] = {}
        self._lock = threading.Lock()

    def happened(self, recipe: "Recipe", event: "RecordedEvent") -> None:
        """Process an event of a step that runs in this session, unless it changes nothing here.

        Args:
            recipe: The recipe of the step.
            event: The event.
        """
        key, step = (recipe.key, event.step.name), event.step
        if isinstance(event, AttemptStarted):
            if recipe.key not in self._logs:
                self._logs[recipe.key] = str(self._folder.logs(recipe))
            attempts = step.retry.attempts if step.retry else 0
            self._started(key, event.attempt, event.element, event.elements, attempts)
        elif isinstance(event, RetryScheduled):
            self._pauses(key, event.attempt, event.seconds)
        elif isinstance(event, Finished):
            self._finished(key)

    def reported(self, event: "AnyEvent") -> None:
        """Process an event that an xdist worker sent for the journal, as `happened` does."""
        from pytest_orchestrator.core import events
        from pytest_orchestrator.runs.folder import subfolder_parts

        if isinstance(event, events.RecipeStarted):
            parts = subfolder_parts(event.about["path"], event.about.get("cell"))
            self._logs[event.recipe] = str(self._folder.path.joinpath("logs", *parts))
        elif isinstance(event, events.StepStarted):
            key = (event.recipe, event.step)
            self._started(key, event.attempt, event.element, event.elements, 0)
        elif isinstance(event, events.AttemptFailed):
            self._pauses((event.recipe, event.step), event.attempt, event.again_in)
        elif isinstance(event, events.StepFinished):
            self._finished((event.recipe, event.step))

    def clear(self) -> None:
        """Remove all running steps."""
        with self._lock:
            self._steps.clear()

    def shown(self) -> "list[RunningStep]":
        """Return the running steps for the status line, the one that has run longest first."""
        from pytest_orchestrator.reports.terminal.status_line import RunningStep

        now = monotonic()
        return [
            RunningStep(
                name=one.name,
                seconds=now - one.since,
                element=0 if one.element is None else one.element + 1,
                elements=one.elements,
                attempt=one.attempt,
                attempts=one.attempts,
                pause=max(0.0, one.resumes_at - now),
            )
            for one in self._by_age()
        ]

    def output(self) -> bytes:
        """Return the last 4 kB of the newest log of the step that has run longest."""
        for one in self._by_age():
            return _tail(one.logs if one.element is None else f"{one.logs}.{one.element}")
        return b""

    def _by_age(self) -> list[_State]:
        with self._lock:
            return sorted(self._steps.values(), key=lambda one: one.since)

    def _started(
        self,
        key: tuple[str, str],
        attempt: int,
        element: int | None,
        elements: int | None,
        attempts: int,
    ) -> None:
        with self._lock:
            known = self._steps.get(key)
            if known is None or (attempt == 1 and element is None):
                logs = f"{self._logs.get(key[0], '')}/{step_file_name(key[1])}"
                known = _State(key[1], monotonic(), logs, elements=elements or 0, attempts=attempts)
            self._steps[key] = msgspec.structs.replace(
                known, element=element, attempt=attempt, resumes_at=0.0
            )

    def _pauses(self, key: tuple[str, str], failed: int, seconds: float) -> None:
        with self._lock:
            if known := self._steps.get(key):
                at = monotonic() + seconds
                self._steps[key] = msgspec.structs.replace(known, attempt=failed + 1, resumes_at=at)

    def _finished(self, key: tuple[str, str]) -> None:
        with self._lock:
            self._steps.pop(key, None)


def _tail(logs: str) -> bytes:
    """Return the last 4 kB of a step's newest log file, stdout or stderr; empty without logs."""
    number = 1
    while any(os.path.exists(f"{logs}.{number + 1}.{end}") for end in ("stdout", "stderr")):
        number += 1
    found = []
    for end in ("stdout", "stderr"):
        path = f"{logs}.{number}.{end}"
        try:
            found.append((os.stat(path).st_mtime_ns, path))  # noqa: PTH116
        except OSError:
            continue
    if not found:
        return b""
    with Path(max(found)[1]).open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - _TAIL))
        return file.read()
