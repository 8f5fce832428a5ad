"""Replay: the answers of a recorded run take the place of the instruments.

An exchange is found by its command and by the order of the record. Its place is first sought among
the exchanges of the same step, so steps that ran at the same time, or that are left out, change
nothing; then among all of the instrument. A *segment* is what lies between two commands without an
answer, which may have changed the state of the instrument: a query is answered from the segment of
the last such command. If it is asked more often than in the record, its last answer there stays.
"""

import difflib
import hashlib
import os
import re
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeAlias

from pytest_orchestrator.core.events import InstrumentExchange
from pytest_orchestrator.execution.interruptible import InterruptibleFuture
from pytest_orchestrator.instrument import Author, InstrumentError, shown

Key: TypeAlias = tuple[str, str, str]
"""Operation, command, and the SHA-256 of the data that are sent."""

_WRITES: Final = frozenset({"write", "write_block"})
_ANSWERED: Final = frozenset({*_WRITES, "query", "block", "read", "open"})
_MASK: Final = "***"
_KINDS: Final = frozenset({"status", "timeout", "closed", "protocol", "refused", "missing"})


class Tape:
    """Exchanges in their order, and the place up to which they were replayed.

    Args:
        exchanges: The exchanges.
    """

    def __init__(self, exchanges: Iterable[InstrumentExchange]) -> None:
        self._items = [*exchanges]
        self._places: dict[Key, list[int]] = {}
        self._segments: list[int] = []
        segment = 0
        for at, one in enumerate(self._items):
            sent = one.data.rpartition("/")[2] if one.do == "write_block" else ""
            self._places.setdefault((one.do, one.command, sent), []).append(at)
            segment += one.do in _WRITES
            self._segments.append(segment)
        self._next = self._segment = 0

    def take(self, key: Key) -> InstrumentExchange | None:
        """Return the exchange that answers a request; None if it was not recorded."""
        places = self._places.get(key)
        if not places:
            return None
        ahead = bisect_left(places, self._next)
        before, after = places[:ahead][-1:], places[ahead : ahead + 1]
        is_write = key[0] in _WRITES
        if is_write or not self._is_here(after):
            stays = not is_write and self._is_here(before)
            place = before[0] if stays or not after else after[0]
        else:
            place = after[0]
        if is_write or place >= self._next:
            self._next, self._segment = place + 1, self._segments[place]
        return self._items[place]

    def _is_here(self, places: list[int]) -> bool:
        return bool(places) and self._segments[places[0]] == self._segment


class Replay:
    """The instruments of a recorded run. Thread-safe.

    Args:
        run: Id of the run.
        exchanges: Its exchanges, in order.
        data: Returns the bytes of an exchange; None if they are gone or were changed.
    """

    def __init__(
        self,
        run: str,
        exchanges: Iterable[InstrumentExchange],
        data: Callable[[InstrumentExchange], bytes | None],
    ) -> None:
        self.run, self._data, self._lock = run, data, threading.Lock()
        self._all: dict[str, list[InstrumentExchange]] = {}
        steps: dict[tuple[str, str, str], list[InstrumentExchange]] = {}
        self._cut: tuple[InstrumentExchange, ...] = ()
        for one in exchanges:
            if one.gap == "cut":
                self._cut = (one,)
            else:
                self._all.setdefault(one.instrument, []).append(one)
                steps.setdefault((one.instrument, one.recipe, one.step), []).append(one)
        self._steps = {name: Tape(found) for name, found in steps.items()}
        self._tapes = {name: Tape(found) for name, found in self._all.items()}

    def recorded(self, author: Author) -> tuple[InstrumentExchange, ...]:
        """Return the recorded exchanges of an attempt of a step, with devices of its own too.

        An attempt that was not recorded gets those of the last one that was.
        """
        known = [one for found in self._all.values() for one in found if one.step == author.step]
        own = [one for one in known if one.recipe == author.recipe] or known
        own = [one for one in own if one.element == author.element] or own
        last = max((one.attempt for one in own if one.attempt <= author.attempt), default=1)
        return (*(one for one in own if one.attempt == last), *self._cut)

    def answer(self, request: Mapping[str, Any], author: Author) -> InstrumentExchange | None:
        """Return the recorded exchange of a request; None for an ``open`` that was not recorded.

        Raises:
            InstrumentError: It was not recorded, was cut or was masked.
        """
        name, do, command = request["name"], request["do"], request.get("command") or ""
        data = request.get("data") if do == "write_block" else None
        key = do, command, hashlib.sha256(data).hexdigest() if data else ""
        own, every = self._steps.get((name, author.recipe, author.step)), self._tapes.get(name)
        with self._lock:
            found = (own and own.take(key)) or (every and every.take(key)) or None
        if found is not None and found.gap == "masked":
            raise self._refused(name, command, "it has a secret, which the record masks")
        if found is None and do != "open":
            raise self._refused(name, command, self._why(name, do, command))
        return found

    def value(self, found: InstrumentExchange | None) -> str | bytes | None:
        """Return the answer in a recorded exchange, or raise its error.

        Raises:
            InstrumentError: The exchange had an error, or its bytes are gone.
        """
        if found is None:
            return None
        name, command = found.instrument, found.command
        if found.error:
            kind: Any = found.kind if found.kind in _KINDS else "status"
            raise InstrumentError(found.error, instrument=name, command=command, kind=kind)
        if found.do != "block":
            return found.answer
        data = self._data(found) if found.data else b""
        if data is None:
            raise self._refused(name, command, f"{found.data} is gone or was changed")
        return data

    def _why(self, name: str, do: str, command: str) -> str:
        known = self._all.get(name, [])
        if any(_hides(one, command) for one in known):
            return "it has a secret, which the record masks"
        why = "it was not recorded"
        if self._cut:
            why += ", or was cut: the exchanges of that run were too many to keep"
        same = next((one.do for one in known if command and one.command == command), "")
        if same:
            return f"it was not recorded as {_word(do)} with these data, but as {_word(same)}"
        commands = [*dict.fromkeys(one.command for one in known if one.command)]
        near = difflib.get_close_matches(command, commands, 1, 0.0)
        return f"{why}; the nearest recorded command is '{shown(near[0], 80)}'" if near else why

    def _refused(self, name: str, command: str, why: str) -> InstrumentError:
        what = f"'{shown(command, 80)}'" if command else "the read of an answer"
        message = f"{name}: {what} cannot be replayed from run {self.run}: {why}"
        return InstrumentError(message, instrument=name, command=command, kind="status")


def _word(do: str) -> str:
    return {"write_block": "a block that is sent", "block": "a query of a block"}.get(do, f"a {do}")


def _hides(one: InstrumentExchange, command: str) -> bool:
    """Return True if a command may be the one whose secret the record masks."""
    if one.gap != "masked" or _MASK not in one.command:
        return False
    pattern = ".*".join(map(re.escape, one.command.split(_MASK)))
    return re.fullmatch(pattern, command, re.DOTALL) is not None


class ReplayProcess:
    """Stand-in for the instrument process: it answers at once from a record.

    A request that the end of its step cut off in the record has no answer here either, so that the
    timeout of the step comes as it came then.

    Args:
        replay: The record.
    """

    def __init__(self, replay: Replay) -> None:
        self.pid, self.has_ended = os.getpid(), False
        self._replay, self._waiting = replay, dict[str, list[InterruptibleFuture]]()

    def submit(self, request: Mapping[str, Any], author: Author) -> InterruptibleFuture:
        """Answer a request; see `InstrumentProcess.submit`."""
        answer, name = InterruptibleFuture(), request["name"]
        if request["do"] not in _ANSWERED:  # renew, close or interrupt
            self._end(name if request["do"] == "interrupt" else "")
            answer.set_result(None)
            return answer
        try:
            found = self._replay.answer(request, author)
            if found is not None and found.kind == "interrupted":
                self._waiting.setdefault(name, []).append(answer)
            else:
                answer.set_result(self._replay.value(found))
        except InstrumentError as error:
            answer.set_exception(error)
        return answer

    def close(self, grace: float) -> None:
        """End the waits for answers that the record does not have."""
        del grace
        self.has_ended = True
        for name in [*self._waiting]:
            self._end(name)

    def _end(self, name: str) -> None:
        for answer in self._waiting.pop(name, ()):
            message = f"{name}: in run {self._replay.run} the step ended before the answer"
            answer.set_exception(InstrumentError(message, instrument=name))
