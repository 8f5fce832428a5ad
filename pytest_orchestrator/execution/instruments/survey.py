"""Survey of a station outside of a session: instruments that answer, and commands to one of them.

Neither sends the `init` or `safe` commands of the station file: both leave an instrument as it is.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from pytest_orchestrator.core.errors import LockError
from pytest_orchestrator.execution.instruments.process import (
    IDENTIFY,
    InstrumentProcess,
    check_identity,
    session_options,
)
from pytest_orchestrator.execution.interruptible import InterruptibleEvent, InterruptibleFuture
from pytest_orchestrator.execution.locks import lock_file, locks
from pytest_orchestrator.execution.locks.lock_file import Owner
from pytest_orchestrator.execution.locks.locks import LockSet, Waiting
from pytest_orchestrator.instrument import InstrumentError, is_query, shown
from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station

State = Literal["reachable", "unreachable", "other", "in use"]
"""State of an instrument: it answers; it does not; another instrument answers; it is locked."""

_GRACE = 1.0
_MARGIN = 6.0
"""Seconds beyond the timeouts: PyVISA-py waits up to 5 s for a connection by HiSLIP."""
_NO_RUN = "none"

Start = Callable[[], InstrumentProcess]


class Contact(NamedTuple):
    """Result of the attempt to reach one instrument.

    Attributes:
        settings: The instrument.
        state: Its state.
        idn: Its answer to ``*IDN?``; empty if it was not asked or did not answer.
        reason: The reason for any state but ``reachable``; else empty.
        owner: The owner of its lock, if another process holds it and its record can be read.
    """

    settings: InstrumentSettings
    state: State
    idn: str = ""
    reason: str = ""
    owner: Owner | None = None


class Busy(Exception):
    """Another process holds the lock of an instrument; the text is a sentence about it."""


def survey(
    station: Station,
    start: Start,
    who: str,
    timeout: float | None = None,
    *,
    is_forced: bool = False,
) -> list[Contact]:
    """Open all instruments of a station in parallel, and ask each for its identity.

    The locks of the instruments are held meanwhile. An instrument whose lock another process holds
    is not touched.

    Args:
        station: The station.
        start: Starts an instrument process.
        who: Name of the caller, for the record of the owner of the locks.
        timeout: Seconds to wait for the connection, and for the answer; None for the timeout of
            each instrument.
        is_forced: True to ask instruments whose locks other processes hold, too.

    Returns:
        The result of each instrument, in the order of the file.
    """
    everything = station.instruments.values()
    held: list[LockSet] = []
    busy: dict[str, tuple[str, Owner | None]] = {}
    try:
        for name in sorted({each.lock_name for each in everything}):
            try:
                held.append(_lock(name, who))
            except (Busy, LockError) as error:
                owner = _owner(name) if isinstance(error, Busy) else None
                busy[name] = str(error), owner
        asked = [each for each in everything if is_forced or each.lock_name not in busy]
        contacts = _asked(asked, start, station.id, timeout)
    finally:
        for acquired in held:
            acquired.release()
    found = []
    for each in everything:
        reason, owner = busy.get(each.lock_name, ("", None))
        contact = contacts.get(each.name, Contact(each, "in use", reason=reason))
        found.append(contact._replace(owner=owner))
    return found


def converse(
    settings: InstrumentSettings,
    station: str,
    start: Start,
    commands: Iterable[str],
    timeout: float | None = None,
    begin: Callable[[], None] = lambda: None,
) -> Iterator[str | None]:
    """Send commands to one instrument, in a session of its own; the caller holds its lock.

    Args:
        settings: The instrument.
        station: The id of the station file.
        start: Starts an instrument process.
        commands: The commands.
        timeout: Seconds to wait for each answer; None for the timeout of the instrument.
        begin: Called before the first command, once the instrument is identified.

    Yields:
        The answer to each command; None for a command without ``?``, which is only written.

    Raises:
        InstrumentError: The instrument cannot be opened, is another one, or has not answered.
    """
    limit = timeout or settings.timeout
    process = start()

    def ask(do: str, command: str | None = None, **more: Any) -> Any:
        request = {"name": settings.name, "do": do, "command": command, "timeout": timeout, **more}
        try:
            return process.submit(request).result(limit + _MARGIN)
        except TimeoutError:
            raise _late(settings, limit + _MARGIN) from None

    grace = _GRACE
    try:
        ask("open", options=session_options(settings) | {"timeout": limit})
        if settings.idn:
            check_identity(settings, str(ask("query", IDENTIFY)), station)
        begin()
        for command in commands:
            yield ask("query" if is_query(command) else "write", command)
        ask("close")
    except BaseException:
        grace = 0.0
        raise
    finally:
        process.close(grace)


def lock(settings: InstrumentSettings, who: str, *, waiting: Waiting | None = None) -> LockSet:
    """Acquire the lock of an instrument.

    Args:
        settings: The instrument.
        who: Name of the caller, for the record of the owner.
        waiting: Called while another process holds the lock; None does not wait.

    Raises:
        Busy: Another process holds the lock.
        LockError: The lock file cannot be used.
    """
    return _lock(settings.lock_name, who, waiting)


def _lock(name: str, who: str, waiting: Waiting | None = None) -> LockSet:
    stop = InterruptibleEvent()
    if waiting is None:
        stop.set()
    acquired = locks.acquire([name], run=_NO_RUN, step=who, waiting=waiting, stop=stop)
    if acquired is None:
        raise Busy(_held_by(_owner(name)))
    return acquired


def _owner(name: str) -> Owner | None:
    return lock_file.owner_of(f"{lock_file.path_of(lock_file.default_folder(), name)}.lock")


def _held_by(owner: Owner | None) -> str:
    if owner is None:
        return "another process holds its lock"
    who = f"{owner.user}@{owner.host}"
    run = "" if owner.run == _NO_RUN else f", run {owner.run}"
    if owner.free_at:
        left = max(0.0, owner.free_at - time.time())
        return f"an attempt of {owner.step} may run for {left:.0f} s more on a worker ({who}{run})"
    return f"{owner.step} has held its lock for {owner.age():.0f} s (pid {owner.pid}, {who}{run})"


def _asked(
    instruments: Sequence[InstrumentSettings], start: Start, station: str, timeout: float | None
) -> Mapping[str, Contact]:
    """Ask instruments for their identities, all at the same time."""
    futures: dict[
        str, tuple[InstrumentSettings, InterruptibleFuture, InterruptibleFuture | None]
    ] = {}
    try:
        process = start() if instruments else None
    except InstrumentError as error:
        return {each.name: Contact(each, "unreachable", reason=str(error)) for each in instruments}
    if process is None:
        return {}
    is_late = True
    limit = 2 * (timeout or max(each.timeout for each in instruments)) + _MARGIN
    try:
        closed = []
        for each in instruments:
            options = session_options(each) | {"timeout": timeout or each.timeout}
            opened = process.submit({"name": each.name, "do": "open", "options": options})
            answer = None
            if each.idn != "":
                request = {"name": each.name, "do": "query", "command": IDENTIFY}
                answer = process.submit(request)
            closed.append(process.submit({"name": each.name, "do": "close"}))
            futures[each.name] = each, opened, answer
        until = time.monotonic() + limit
        is_late = not all(one.wait(until - time.monotonic()) for one in closed)
        return {
            name: _contact(*asked, station=station, limit=limit) for name, asked in futures.items()
        }
    finally:
        process.close(0.0 if is_late else _GRACE)


def _contact(
    settings: InstrumentSettings,
    opened: InterruptibleFuture,
    answer: InterruptibleFuture | None,
    *,
    station: str,
    limit: float,
) -> Contact:
    idn = ""
    try:
        for each in (opened, answer):
            if each is None:
                continue
            if not each.done():
                raise _late(settings, limit)
            idn = str(each.result() or "")
        if answer is not None:
            check_identity(settings, idn, station)
    except InstrumentError as error:
        state: State = "unreachable" if error.kind != "refused" or not idn else "other"
        reason = str(error).removeprefix(f"{settings.name}: ")
        if error.kind == "timeout" and settings.idn is None:
            reason += '; write idn: "" in the station file if it has no identity'
        return Contact(settings, state, shown(idn), reason)
    return Contact(settings, "reachable", shown(idn))


def _late(settings: InstrumentSettings, limit: float) -> InstrumentError:
    message = f"{settings.name}: it was not reached within {limit:g} s"
    return InstrumentError(message, instrument=settings.name, kind="closed")
