"""Pattern search in a lane, which ends a search that takes too long.

A pattern may backtrack for years, and nothing can interrupt it in the process that searches.
All searches of a step go in one request, so that they cost one fork.
"""

import marshal
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from pytest_orchestrator.core import text
from pytest_orchestrator.core.location import Place
from pytest_orchestrator.core.text import quoted
from pytest_orchestrator.execution import text_search
from pytest_orchestrator.execution.lanes.lane import Slot
from pytest_orchestrator.execution.lanes.messages import CommandResult, LaneLost
from pytest_orchestrator.execution.text_search import Found, Searched

LEAST: Final = 1.0
"""Seconds for what is checked after a body that took nearly all of its time."""

_BACKTRACKS = frozenset("*+?{|")
_SHORT = 200
"""Characters of a pattern that is searched here: without repetition it looks at each place once."""


class Query(NamedTuple):
    """A pattern that is searched.

    Attributes:
        where: What is searched.
        pattern: The pattern.
        name: What asks for it, such as ``stdout_matches``.
        place: Where that stands.
    """

    where: Searched
    pattern: str
    name: str
    place: Place | None


class SearchTimeout(Exception):
    """A search that was ended since the time of its step was over.

    Attributes:
        place: Where its pattern stands.
    """

    def __init__(self, reason: str, place: Place | None) -> None:
        super().__init__(reason)
        self.place = place


class SearchInterrupted(Exception):
    """A search that was ended since its step was."""


class ForkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a fork of a lane works out; see `lane_process.forked`."""

    module: str
    given: Any
    timeout: float | None
    sys_path: list[str] | None = None
    grace: float = 0.0
    stdout_log: str | None = None
    stderr_log: str | None = None
    samples: str | None = None
    max_log: int = 0
    secrets: tuple[bytes, ...] = ()
    handed: int = 1
    end_signal: int = int(signal.SIGKILL)


class Searches:
    """The searches of one step, within its time.

    Args:
        slot: Whose lane searches; None where there is none, so that this process does.
        seconds: The time of the step; None is for ever.
        spent: How much of that its body took.

    Attributes:
        seconds: The time of the step.
        begun: The moment of ``time.monotonic`` from which it counts: that of the body's start,
            or later where little of it would be left.
    """

    def __init__(
        self, slot: Slot | None = None, seconds: float | None = None, *, spent: float = 0.0
    ) -> None:
        now = time.monotonic()
        self.seconds = seconds
        self.begun = now - spent if seconds is None else now - min(spent, seconds - LEAST)
        self._slot = slot
        self._known: dict[tuple[Searched, str], Found | None] = {}

    def ahead(self, queries: Iterable[Query]) -> None:
        """Search all of some patterns at once.

        Raises:
            SearchTimeout: The time of the step is over.
            SearchInterrupted: The step was ended.
            LaneLost: The lane was lost.
        """
        slot = self._slot
        wanted = {} if slot is None else {(one.where, one.pattern): one for one in queries}
        slow = [
            one for key, one in wanted.items() if key not in self._known and not is_quick(key[1])
        ]
        if slow and slot is not None:
            found = self._found(slot, slow)
            keys = [(one.where, one.pattern) for one in slow]
            self._known.update(zip(keys, found, strict=True))

    def first(self, query: Query) -> Found | None:
        """Return how a pattern matches first, None where it does not; see `ahead`."""
        if self._slot is None or is_quick(query.pattern):
            return query.where.first(text.compile_pattern(query.pattern))
        self.ahead([query])
        return self._known[query.where, query.pattern]

    def schema_errors(
        self, schema: dict[str, Any], value: Any, place: Place | None
    ) -> dict[str, Any]:
        """Return what a value has against a JSON Schema; see `schema_errors.found`.

        Raises:
            SearchTimeout: The time of the step is over.
            SearchInterrupted: The step was ended.
            LaneLost: The lane was lost.
        """
        from pytest_orchestrator.execution import schema_errors

        if self._slot is None or not schema_errors.may_be_long(schema):
            return schema_errors.found(schema, value)
        path = [one for one in sys.path if one]
        exited, data = self._forked(self._slot, schema_errors.__name__, (schema, value), path)
        if exited is None:
            why = "a pattern or a reference in it takes too long"
            raise self._late("`result_schema` was still checking", why, place)
        if exited.code != 0:
            raise RuntimeError(f"the check {_end_of(exited)}")
        found: dict[str, Any] = marshal.loads(data)  # noqa: S302 - our own process
        return found

    def _found(self, slot: Slot, queries: Sequence[Query]) -> list[Found | None]:
        given = tuple((tuple(one.where), one.pattern) for one in queries)
        exited, data = self._forked(slot, text_search.__name__, given)
        found, has_begun = text_search.answers(data)
        if exited is None:
            late = queries[min(len(found), len(queries) - 1)]
            why = f"its pattern backtracks: {quoted(late.pattern)}"
            raise self._late(f"`{late.name}` was still searching", why, late.place)
        if len(found) < len(queries) or has_begun:
            raise RuntimeError(f"the search {_end_of(exited)}")
        return found

    def _forked(
        self, slot: Slot, module: str, given: Any, sys_path: list[str] | None = None
    ) -> tuple[CommandResult | None, bytes]:
        """Have something worked out; return no end where its time was over, and its answer."""
        left = None
        if self.seconds is not None:
            left = max(0.0, self.begun + self.seconds - time.monotonic())
        request = ForkRequest(module=module, given=given, timeout=left, sys_path=sys_path)
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
    """Tell whether a pattern cannot backtrack: it repeats nothing and has no alternatives."""
    return len(pattern) <= _SHORT and _BACKTRACKS.isdisjoint(pattern)


def _end_of(exited: CommandResult) -> str:
    if exited.signal:
        return f"was ended by {exited.signal}"
    told = exited.stderr.head.decode("utf-8", "replace")
    return f"ended with exit code {exited.code}{': ' * bool(told)}{told}"
