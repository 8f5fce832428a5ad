"""Bench: the instruments that one pytest process uses, with their locks and safe states.

An instrument is *in use* from its first command until its safe state is reached. Meanwhile its lock
is held, and its session is open in the instrument process. The locks of instruments that a recipe
names are acquired before its first step; any other lock when step code first uses the instrument.
"""

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import copy
from datetime import date
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeAlias, get_args

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import (
    ExchangeOperation,
    InstrumentExchange,
    InstrumentSafe,
    SafeConfirmation,
)
from pytest_orchestrator.core.suggestions import nearest
from pytest_orchestrator.core.text import one_line
from pytest_orchestrator.execution.instruments.process import (
    IDENTIFY,
    check_identity,
    confirm,
    session_options,
)
from pytest_orchestrator.execution.interruptible import InterruptibleEvent, InterruptibleFuture
from pytest_orchestrator.execution.locks.locks import LockSet
from pytest_orchestrator.instrument import Author, InstrumentError, InstrumentRequest, is_query
from pytest_orchestrator.recipe.station.model import InstrumentSettings, Station, calibration_of

if TYPE_CHECKING:
    from pytest_orchestrator.execution.instruments.process import InstrumentProcess
    from pytest_orchestrator.execution.instruments.replay import ReplayProcess

    Process: TypeAlias = InstrumentProcess | ReplayProcess

_MARGIN: Final = 10.0
"""Seconds beyond the timeout of an instrument after which its process counts as stuck."""

_CLOSING: Final = 2.0
"""Seconds in which the sessions are closed; the last commands are on their way until then."""

_DROPPED: Final = 3.0
"""Seconds in which a request ends whose answer no step needs any more."""

_TRIES: Final = 2
"""Times that the commands of a safe state are sent until they are confirmed."""

_PAUSE: Final = 0.02
"""Seconds between two attempts to open an instrument that another step is opening."""


_EXCHANGES: Final = frozenset(get_args(ExchangeOperation))
"""Operations that are exchanges; the others only end a wait or a session."""

ORDERS: Final = itertools.count(1)
"""Numbers of the requests of this process, to instruments and to devices of step types."""


class StepOver(Exception):
    """The step that sent a request has ended before the answer."""


class Ending(InterruptibleEvent):
    """The end of the step that sent a request: it is set when the step has ended.

    Attributes:
        author: The author of the request; None for the bench, which sends the safe commands.
    """

    author: Author | None = None

    def wait_for(self, answer: InterruptibleFuture, deadline: float) -> bool:
        """Wait until an answer has arrived; return False if the step ends before.

        Raises:
            TimeoutError: The deadline, by ``time.monotonic``, has passed.
        """
        if not answer.wait(deadline - time.monotonic()):
            raise TimeoutError
        return True


NEVER: Final = Ending()
"""End of a step that only Ctrl-C ends, and of the commands of a safe state."""


class Listener(Protocol):
    """Receiver of the events of a bench, in the thread that caused them."""

    def opened(self, recipe: str, settings: InstrumentSettings, idn: str, overdue: str) -> None:
        """Record that the use of an instrument begins, before the first command that changes it.

        Args:
            recipe: Key of the recipe, or the path of a test module.
            settings: The instrument.
            idn: Its answer to ``*IDN?``; empty if it gave none.
            overdue: A sentence if its calibration is overdue; else empty.

        Raises:
            JournalError: The event cannot be recorded; the instrument must not be used.
            InstrumentError: The instrument must not be used.
        """

    def made_safe(self, result: InstrumentSafe) -> None:
        """Record that the use of an instrument has ended."""

    def exchanged(self, exchange: InstrumentExchange, data: bytes | None) -> None:
        """Record a request to an instrument with its end, and the bytes in it, if there are any."""


class _Use:
    """Use of one instrument.

    Attributes:
        recipes: Keys of the recipes that used it.
        process: The pid of the instrument process that has its session open; 0 for none.
        is_known: True once the use was recorded, so that a safe state is owed.
        is_ready: True once all commands of `init` were sent.
        order: Number that is higher the later the instrument was used.
        waiting: Number of requests that are being answered.
        busy_until: Time of ``time.monotonic`` by which all of these have been answered.
        is_over: True once the use has ended; a request that is on its way is not sent any more.
        dropped: The last request whose answer no step needs any more; None without one.
    """

    def __init__(self, name: str, settings: InstrumentSettings) -> None:
        self.name, self.settings = name, settings
        self.recipes: dict[str, None] = {}
        self.process = 0
        self.idn = ""
        self.is_known = self.is_ready = self.is_over = False
        self.order = 0
        self.waiting = 0
        self.busy_until = 0.0
        self.dropped: InterruptibleFuture | None = None
        self.opening = threading.Lock()

    @property
    def last_recipe(self) -> str:
        return next(reversed(self.recipes), "")


class Kept(NamedTuple):
    """Instruments that remain in use when a recipe run ends.

    Attributes:
        instruments: Names of the instruments that later recipe runs name.
        recipes: Keys of the recipes whose instruments stay as they are, since later runs need them.
    """

    instruments: Collection[str] = ()
    recipes: Collection[str] = ()


NOTHING: Final = Kept()
"""No instrument: so it is at the end of a session."""


class Bench:
    """The instruments of one pytest process.

    Args:
        station: The station file.
        start: Starts an instrument process, or what takes its place.
        listener: Receives the events.
        today: Returns the date for the check of calibrations.
        takes_locks: False for a replay, which uses no real instrument.
    """

    def __init__(
        self,
        station: Station,
        start: Callable[[], "Process"],
        listener: Listener,
        today: Callable[[], date] = date.today,
        *,
        takes_locks: bool = True,
    ) -> None:
        self.station, self._takes_locks = station, takes_locks
        self._start, self._listener, self._today = start, listener, today
        self._process: Process | None = None
        self._mutex = threading.Lock()
        self._uses: dict[str, _Use] = {}
        self._locks: dict[str, LockSet] = {}
        self._claims: dict[str, set[str]] = {}
        self._over: set[str] = set()
        self._order = 0

    def is_shared(self, name: str) -> bool:
        """Return True for an instrument whose steps do not depend on each other."""
        settings = self.station.instruments.get(name)
        return settings is not None and settings.shared

    def settings(self, name: str) -> InstrumentSettings:
        """Return the settings of an instrument.

        Raises:
            InstrumentError: The station has no instrument of that name.
        """
        found = self.station.instruments.get(name)
        if found is None:
            hint = nearest(name, self.station.instruments)
            raise InstrumentError(
                f"{self.station.id} has no instrument '{name}'{hint}",
                instrument=name,
                kind="refused",
            )
        return found

    def locks_of(self, names: Iterable[str]) -> set[str]:
        """Return the names of the locks of instruments; unknown instruments have none."""
        known = self.station.instruments if self._takes_locks else {}
        return {known[name].lock_name for name in names if name in known}

    @property
    def held(self) -> Collection[str]:
        """The names of the locks that this process holds for instruments in use."""
        return self._locks.keys()

    @property
    def users(self) -> set[str]:
        """The keys of recipes, and the paths of test modules, that have instruments in use."""
        with self._mutex:
            return {each for use in self._uses.values() for each in use.recipes}

    def files(self, recipe: str) -> tuple[int, ...]:
        """Return the descriptors of the locks that a recipe has claimed."""
        with self._mutex:
            return tuple(
                file
                for lock, recipes in self._claims.items()
                if recipe in recipes
                for file in self._locks[lock].filenos()
            )

    def claim(self, recipe: str, names: Iterable[str], acquired: LockSet | None = None) -> None:
        """Hold locks for a recipe until the safe state of its instruments is reached.

        Args:
            recipe: Key of the recipe.
            names: Names of locks; those that are not held yet are in `acquired`.
            acquired: New locks; those of the names are taken out of the set.
        """
        with self._mutex:
            for name in names:
                if acquired is not None and name in acquired.names:
                    self._locks[name] = acquired.take(name)
                if name in self._locks:
                    self._claims.setdefault(name, set()).add(recipe)
                    self._over.discard(recipe)

    def execute(
        self,
        request: InstrumentRequest,
        recipe: str,
        lock: Callable[[str, threading.Event | None], bool],
        ending: Ending = NEVER,
    ) -> Any:
        """Execute one request of step code.

        Args:
            request: The request.
            recipe: Key of the recipe, or the path of a test module.
            lock: Claims the lock of that name for the recipe, and waits for it; returns False if
                the event is set before.
            ending: The end of the step.

        Returns:
            The answer: a text, bytes, or None.

        Raises:
            InstrumentError: The instrument cannot be used, or has not answered as it should.
            StepOver: The step has ended before the answer.
        """
        name, settings = request.name, self.settings(request.name)
        if self._takes_locks and not lock(settings.lock_name, ending):
            raise StepOver
        with self._mutex:
            use = self._uses.get(name) or self._uses.setdefault(name, _Use(name, settings))
        self._open(use, recipe, ending)
        with self._mutex:
            use.recipes.pop(recipe, None)
            use.recipes[recipe] = None
            self._over.discard(recipe)
            self._order += 1
            use.order = self._order
        if request.do == "open":
            return use.idn
        fields = {"command": request.command, "data": request.data, "timeout": request.timeout}
        return self._ask(use, {"do": request.do, **fields}, ending)

    def release(self, recipe: str, kept: Kept = NOTHING) -> list[InstrumentSafe]:
        """End the use of the instruments that nothing needs after a recipe run has ended.

        Their `safe` commands are sent, those of the instrument that was used last first.

        Args:
            recipe: Key of the recipe whose run has ended.
            kept: The instruments that remain in use.

        Returns:
            The result of each instrument whose use has ended.
        """
        self._over.add(recipe)
        return self.release_idle(kept)

    def release_idle(self, kept: Kept = NOTHING) -> list[InstrumentSafe]:
        """End the use of the instruments that no running recipe uses, as `release` does.

        Args:
            kept: The instruments that remain in use.
        """
        results = []
        for use in sorted(self._uses.values(), key=lambda each: -each.order):
            if use.name in kept.instruments or not self._is_over(use.recipes, kept):
                continue
            with self._mutex:
                self._uses.pop(use.name)
                last = copy(use)
                use.is_over = True
            if last.is_known:
                try:
                    result = self._make_safe(last)
                except BaseException:  # a second Ctrl-C: the end of the session tries again
                    last.process = 0
                    self._uses[last.name] = last
                    raise
                results.append(result)
                self._listener.made_safe(result)
        self._release_locks(kept)
        if not self._uses:
            self.close()
        return results

    def make_safe(self, choices: Sequence[InstrumentSettings]) -> InstrumentSafe:
        """Send the `safe` commands of an instrument that is not in use here.

        The caller holds the lock of the instrument.

        Args:
            choices: Its settings; the next ones are tried if the safe state is not reached with
                the ones before.

        Returns:
            The result with the last settings that were tried; it names no recipe.
        """
        first, *others = choices
        result = self._make_safe(_Use(first.name, first))
        while result.reason and others:
            result = self._make_safe(_Use(first.name, others.pop(0)))
        if not self._uses:
            self.close()
        return result

    def close(self, grace: float = _CLOSING) -> None:
        """End the instrument process, which closes all sessions; the next use starts another."""
        with self._mutex:
            process, self._process = self._process, None
        if process is not None:
            process.close(grace)

    def _is_over(self, recipes: Iterable[str], kept: Kept) -> bool:
        """Return True if the runs of all given recipes have ended, and no later run needs them."""
        return all(each in self._over and each not in kept.recipes for each in recipes)

    def _release_locks(self, kept: Kept) -> None:
        wanted = self.locks_of((*kept.instruments, *self._uses))
        with self._mutex:
            for name, recipes in [*self._claims.items()]:
                if name not in wanted and self._is_over(recipes, kept):
                    del self._claims[name]
                    self._locks.pop(name).release()

    def _open(self, use: _Use, recipe: str, ending: Ending) -> None:
        """Open the session of an instrument if it is not open; identify and initialise it once."""
        while not use.opening.acquire(timeout=_PAUSE):
            if ending.is_set():
                raise StepOver
        try:
            self._end_dropped(use)
            if use.is_ready and use.process == self._running().pid:
                return
            overdue = calibration_of(use.settings, self._today())
            if overdue and self.station.require_calibrated and not use.is_known:
                message = f"{overdue}, and {self.station.id} requires a valid one"
                raise InstrumentError(message, instrument=use.name, kind="refused")
            self._connect(use, ending)
            if not use.is_known:
                self._record(use, recipe, overdue)
            if not use.is_ready:
                for command in use.settings.init:
                    self._send(use, command, ending)
                use.is_ready = True
        finally:
            use.opening.release()

    def _record(self, use: _Use, recipe: str, overdue: str) -> None:
        """Record that the use of an instrument begins; close its session if that is refused."""
        try:
            self._listener.opened(recipe, use.settings, use.idn, overdue)
        except JournalError as error:
            self._forget(use)
            raise InstrumentError(
                f"{use.name}: {error}", instrument=use.name, kind="refused"
            ) from None
        except InstrumentError:
            self._forget(use)
            raise
        use.recipes[recipe] = None
        use.is_known = True

    def _connect(self, use: _Use, ending: Ending) -> None:
        """Open the session of an instrument, and compare its answer to ``*IDN?``."""
        process = self._running()
        self._ask(use, {"do": "open", "options": session_options(use.settings)}, ending)
        use.process = process.pid
        expected = use.settings.idn
        if expected == "":
            return
        try:
            use.idn = str(self._ask(use, {"do": "query", "command": IDENTIFY}, ending))
        except InstrumentError as error:
            if expected is not None or error.kind == "closed":
                raise
            use.idn = ""  # not every instrument has an identity
            return
        try:
            check_identity(use.settings, use.idn, self.station.id)
        except InstrumentError:
            self._forget(use)
            raise

    def _forget(self, use: _Use) -> None:
        """Close the session of an instrument that is not used after all."""
        with contextlib.suppress(InstrumentError):
            self._ask(use, {"do": "close"}, NEVER)
        use.process = 0

    def _send(self, use: _Use, command: str, ending: Ending) -> Any:
        """Send a command of the station file; read the answer if it is a query."""
        do = "query" if is_query(command) else "write"
        return self._ask(use, {"do": do, "command": command}, ending)

    def _ask(self, use: _Use, request: Mapping[str, Any], ending: Ending) -> Any:
        """Send a request to the instrument process, wait for the answer, and report both."""
        process, author = self._running(), ending.author or Author(use.last_recipe)
        with self._mutex:
            if use.is_over:
                raise StepOver
            use.waiting += 1
            seconds = float(request.get("timeout") or use.settings.timeout)
            due = use.busy_until = max(use.busy_until, time.monotonic()) + seconds
            answer = process.submit({"name": use.name, **request}, author)
            order = next(ORDERS)
        found, error, kind = None, "the step ended before the answer", "interrupted"
        try:
            found = self._wait(use, process, answer, due + _MARGIN, ending)
            error = kind = ""
        except InstrumentError as failure:
            error, kind = str(failure), failure.kind
            if kind == "closed":  # the next use opens the session again
                use.process = 0
            raise
        finally:
            if request["do"] in _EXCHANGES:
                exchange = InstrumentExchange(
                    **author._asdict(),
                    instrument=use.name,
                    order=order,
                    do=request["do"],
                    command=request.get("command", ""),
                    answer=found if isinstance(found, str) else None,
                    error=error,
                    kind=kind,
                )
                data = found if isinstance(found, bytes) else request.get("data")
                self._listener.exchanged(exchange, data or None)
        return found

    def _wait(
        self,
        use: _Use,
        process: "Process",
        answer: InterruptibleFuture,
        due: float,
        ending: Ending,
    ) -> Any:
        """Wait for the answer to a request; kill the instrument process if it is stuck."""
        is_answered = True
        try:
            is_answered = ending.wait_for(answer, due)
        except TimeoutError:
            self._end_stuck(process)
        except BaseException:  # Ctrl-C: `finally` and the safe state do not wait for the answer
            self._drop(use, answer, process)
            raise
        finally:
            with self._mutex:
                use.waiting -= 1
                if not use.waiting:
                    use.busy_until = 0.0
        if not is_answered:
            self._drop(use, answer, process)
            raise StepOver
        return answer.result()

    def _interrupt(self, use: _Use, process: "Process") -> None:
        """End the wait for an answer that no step needs any more, as far as the session can."""
        process.submit({"name": use.name, "do": "interrupt"}, Author(use.last_recipe))

    def _drop(self, use: _Use, request: InterruptibleFuture, process: "Process") -> None:
        """End the wait for an answer that no step needs any more; the next use checks its end."""
        use.dropped = request
        self._interrupt(use, process)

    def _end_dropped(self, use: _Use) -> None:
        """Wait shortly for the end of a request that no step needs; else kill the process."""
        if use.dropped is not None:
            if not use.dropped.wait(_DROPPED):  # the backend cannot interrupt it
                self._end_stuck(self._running())
            use.dropped = None

    def _end_stuck(self, process: "Process") -> None:
        """Kill an instrument process that does not answer; its requests then fail."""
        with self._mutex:
            if self._process is process:
                self._process = None
        process.close(0.0)

    def _running(self) -> "Process":
        with self._mutex:
            if self._process is not None and self._process.has_ended:
                self._process.close(0.0)
                self._process = None
            if self._process is None:
                self._process = self._start()
            return self._process

    def _make_safe(self, use: _Use) -> InstrumentSafe:
        """Send the `safe` commands of an instrument until it has confirmed them, at most twice.

        The second time is in a new session. Errors that its queue had before are read by then.
        """
        transcript: list[str] = []
        reason = ""
        confirmation: SafeConfirmation = ""
        for _ in range(_TRIES):
            try:
                reason, confirmation = "", self._send_safe(use, transcript)
                self._forget(use)
                break
            except InstrumentError as error:
                reason = str(error)
                transcript.append(f"error: {reason}")
                use.process = 0
        return InstrumentSafe(
            recipe=use.last_recipe,
            instrument=use.name,
            reason=reason,
            transcript=tuple(transcript),
            confirmation=confirmation,
        )

    def _send_safe(self, use: _Use, transcript: list[str]) -> SafeConfirmation:
        """Send the `safe` commands once, where no earlier answer can come, and confirm them."""
        self._end_dropped(use)
        process, settings = self._running(), use.settings
        if use.process != process.pid:
            self._connect(use, NEVER)
        elif use.waiting:
            self._interrupt(use, process)
        if not settings.safe:
            return ""

        def send(command: str) -> str:
            transcript.append(f"> {one_line(command)}")
            answer = self._send(use, command, NEVER)
            transcript.extend([] if answer is None else [f"< {one_line(str(answer))}"])
            return str(answer)

        self._ask(use, {"do": "renew"}, NEVER)
        for command in settings.safe:
            send(command)
        return confirm(settings, send, self.station.id)
