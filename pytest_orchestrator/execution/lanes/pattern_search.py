"""Pattern search that ends at the timeout of its step.

A pattern may backtrack for years. `re` cannot be interrupted, so a pattern that could backtrack is
searched by the package `regex`. A JSON Schema is checked in a fork of a lane, which can be ended.
"""

import marshal
import math
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.json_values import encode, exact_text
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import compile_pattern, interruptible_pattern, quoted
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.lanes.messages import CommandResult, LaneLost
from pytest_orchestrator.execution.text_search import Found, Searched

LEAST: Final = 1.0
"""Seconds that the checks of a step get even if its step code has used up the timeout."""

_BACKTRACKS = frozenset("*+?{|")
_FIRST = 0.25
"""Seconds of the first attempt of a search, after which it looks if the step was ended."""

_SHORT = 200
"""Longest pattern without repetition, in characters, that this process searches itself."""


class SearchTimeout(Exception):
    """A search was ended because the timeout of its step had passed.

    Attributes:
        place: The position of its pattern.
    """

    def __init__(self, reason: str, place: Place | None) -> None:
        super().__init__(reason)
        self.place = place


class SearchInterrupted(Exception):
    """A search was ended together with its step."""


class ForkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request to compute an answer in a fork of the lane; see `lane_process.forked`."""

    module: str
    argument: Any
    timeout: float | None
    sys_path: list[str]
    grace: float = 0.0
    stdout_log: str | None = None
    stderr_log: str | None = None
    samples: str | None = None
    max_log: int = 0
    secrets: tuple[bytes, ...] = ()
    handed: int = 1
    end_signal: int = int(signal.SIGKILL)


class Searches:
    """Searches for the patterns of one step, ended at the timeout of the step.

    Args:
        slot: The slot of the step: its cancellation ends a search, and its lane checks JSON
            Schemas. Without it, this process checks them, without a limit.
        seconds: The timeout of the step in seconds; None sets no limit.
        spent: The seconds that the step code took.

    Attributes:
        seconds: The timeout of the step.
        begun: The time of ``time.monotonic`` from which the timeout counts: the start of the step
            code, or later, so that at least `LEAST` seconds remain.
    """

    def __init__(
        self, slot: Slot | None = None, seconds: float | None = None, *, spent: float = 0.0
    ) -> None:
        now = time.monotonic()
        self.seconds = seconds
        self.begun = now - spent if seconds is None else now - min(spent, seconds - LEAST)
        self._slot = slot

    def first(
        self, pattern: str, where: Searched, name: str, place: Place | None = None
    ) -> Found | None:
        """Return the first match of a pattern, or None.

        Args:
            pattern: The pattern.
            where: The text or file to search.
            name: The key of the recipe that has the pattern, such as ``stdout_matches``.
            place: The position of that key.

        Raises:
            SearchTimeout: The timeout of the step has passed.
            SearchInterrupted: The step was ended.
        """
        if is_quick(pattern):
            return where.first(compile_pattern(pattern))
        times = partial(self._times, pattern, name, place)
        return where.first(interruptible_pattern(pattern), times)

    def _times(self, pattern: str, name: str, place: Place | None) -> Iterator[float]:
        """Yield the seconds of each attempt of a search, twice as many as before.

        `regex` measures processor time, and no thread but the main one can interrupt it.
        """
        seconds, left = _FIRST, math.inf
        while True:
            if self._slot is not None and self._slot.is_cancelled:
                raise SearchInterrupted
            if self.seconds is not None:
                left = self.begun + self.seconds - time.monotonic()
            if left <= 0:
                why = f"its pattern backtracks: {quoted(pattern)}"
                raise self._late(f"`{name}` was still searching", why, place)
            yield min(seconds, left)
            seconds *= 2

    def schema_errors(
        self, schema: dict[str, Any], value: Any, place: Place | None
    ) -> dict[str, Any]:
        """Return the violations of a JSON Schema by a value; see `json_schema.found`.

        Raises:
            SearchTimeout: The timeout of the step has passed.
            SearchInterrupted: The step was ended.
            LaneLost: The lane was lost.
        """
        from pytest_orchestrator.recipe import json_schema

        if self._slot is None or not json_schema.may_be_long(schema):
            return json_schema.found(schema, value)
        # marshal does not know a `LongDecimal`.
        text = exact_text(value) or encode(value)
        exited, data = self._compute(self._slot, json_schema.__name__, (schema, text))
        if exited is None:
            why = "a pattern or a reference in it takes too long"
            raise self._late("`result_schema` was still checking", why, place)
        if exited.code != 0:
            raise RuntimeError(f"the check {_end_of(exited)}")
        errors: dict[str, Any] = marshal.loads(data)  # noqa: S302 - our own process
        return errors

    def _compute(
        self, slot: Slot, module: str, argument: Any
    ) -> tuple[CommandResult | None, bytes]:
        """Compute an answer in a fork; return the fork's end (None at timeout) and the answer."""
        left = None
        if self.seconds is not None:
            left = max(0.0, self.begun + self.seconds - time.monotonic())
        path = [folder for folder in sys.path if folder]
        request = ForkRequest(module=module, argument=argument, timeout=left, sys_path=path)
        with tempfile.TemporaryFile() as file:
            try:
                exited = slot.shell.run(request, handed=(file.fileno(),))
            except LaneLost as lost:
                if not lost.timed_out:
                    raise
                return None, b""
            if exited.cancelled:
                raise SearchInterrupted
            file.seek(0)
            return (None if exited.timed_out else exited), file.read()

    def _late(self, what: str, why: str, place: Place | None) -> SearchTimeout:
        return SearchTimeout(f"timeout: {what} after {self.seconds:g} s ({why})", place)


def is_quick(pattern: str) -> bool:
    """Return True if a pattern cannot backtrack: it is short, without repetition or choice."""
    return len(pattern) <= _SHORT and _BACKTRACKS.isdisjoint(pattern)


def _end_of(exited: CommandResult) -> str:
    if exited.signal:
        return f"was ended by {exited.signal}"
    text = exited.stderr.head.decode("utf-8", "replace")
    return f"ended with exit code {exited.code}{': ' * bool(text)}{text}"
