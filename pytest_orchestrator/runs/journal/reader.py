"""Journal reader: incremental parsing, with a torn last line distinguished from damage.

A process that is killed while it writes leaves a torn last line. Any other difference from what
was written is damage: it is reported with its line, and no line after it is read.

The reports at the end of a session read the blocks of steps back from the journal; until then
only the offset of each step's last line is in memory (`JournalIndex`).
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec

from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.core.events import (
    SENT_NOT_CONFIRMED,
    AnyEvent,
    ContextReplaced,
    InstrumentExchange,
    InstrumentOpened,
    InstrumentSafe,
    RunFinished,
    StepFinished,
)
from pytest_orchestrator.runs.journal.chain import (
    Chain,
    Entry,
    JournalDamaged,
    decode_line,
)
from pytest_orchestrator.runs.journal.debts import EVENTS_OF_DEBTS, Debts
from pytest_orchestrator.runs.journal.writer import is_being_written

_CHUNK = 1 << 18

State = Literal["finished", "interrupted", "running", "damaged"]


class JournalParser:
    """Incremental parser of a journal: bytes in chunks of any size become entries.

    Args:
        chain: The end of the lines that were read before; None to start at the first line.
        read: Number of bytes of the lines that were read before.
        split: True to yield one entry for each change of a `ContextReplaced` instead of the event.

    Attributes:
        chain: The end of the chain that was read.
        finished: True if the sealing line was read, after which no line may follow.
        read: Number of bytes of the complete lines so far.
    """

    def __init__(self, chain: Chain | None = None, read: int = 0, *, split: bool = True) -> None:
        self.chain = chain or Chain()
        self.finished = False
        self.read = read
        self._split = split
        self._rest = b""

    @property
    def torn(self) -> bytes:
        """The bytes after the last line feed: a line that is not complete."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[Entry]:
        """Add the next bytes, and yield the entries of all lines that are now complete.

        Raises:
            JournalDamaged: A line is not the one that was written.
        """
        data = self._rest + data
        self._rest = data[data.rfind(b"\n") + 1 :]
        start = 0
        while (end := data.find(b"\n", start)) != -1:
            if self.finished:
                raise self._line_after_end()
            entry = self.chain.verify(data[start:end])
            self.read += end + 1 - start
            start = end + 1
            event = entry.event
            if isinstance(event, ContextReplaced) and self._split:
                yield from split_changes(entry)
                continue
            if isinstance(event, RunFinished):
                self._check(event)
            yield entry

    def end(self) -> None:
        """Check that nothing follows the sealing line; the file has been read to its end.

        Raises:
            JournalDamaged: Bytes follow the line that seals the journal.
        """
        if self.finished and self._rest:
            raise self._line_after_end()

    def _line_after_end(self) -> JournalDamaged:
        return JournalDamaged.at(self.chain.length + 1, "it stands behind the end of the run")

    def _check(self, last: RunFinished) -> None:
        if last.lines != self.chain.length - 1:
            raise JournalDamaged.at(self.chain.length, f"it seals {last.lines} lines before it")
        self.finished = True


def split_changes(entry: Entry) -> Iterator[Entry]:
    """Yield an entry for each change of a `ContextReplaced`; yield other entries unchanged."""
    event = entry.event
    if not isinstance(event, ContextReplaced):
        yield entry
        return
    for change, moment in zip(event.changes, event.moments, strict=True):
        yield Entry(entry.n, stamp(moment), change)


class Reading(msgspec.Struct, frozen=True):
    """Valid part of a journal.

    Attributes:
        entries: The entries before the first damage, in order, except those of exchanges with
            instruments: a step that polls makes thousands, and only a `JournalParser` yields them.
        state: finished; running while a process writes the journal; interrupted if no process
            writes it and it is not sealed; damaged if a line was changed.
        damage: The error for the first line that was changed.
        torn: Number of bytes of a last line that was not written completely.
        chain: The end of the chain after the entries.
        size: Number of bytes of the entries.
    """

    entries: list[Entry]
    state: State
    damage: JournalDamaged | None
    torn: int
    chain: Chain
    size: int


def read_journal(
    path: Path, *, raw_blocks: bool = False, take: Callable[[Entry], None] | None = None
) -> Reading:
    """Read a whole journal.

    Args:
        path: The file.
        raw_blocks: As for `Chain`.
        take: Receives the entries, which are then not in memory at the same time; None for a list.

    Returns:
        Its entries up to the first damage, and its state.

    Raises:
        OSError: The file cannot be read.
    """
    tail = JournalParser(Chain(raw_blocks=raw_blocks))
    entries: list[Entry] = []
    take = take or entries.append
    damage: JournalDamaged | None = None
    running = is_being_written(path)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                # One by one: the entries before the damage must be kept.
                for entry in tail.feed(chunk):
                    if type(entry.event) is not InstrumentExchange:
                        take(entry)
        tail.end()
    except JournalDamaged as error:
        damage = error
    state: State = "running" if running else "interrupted"
    if damage is not None:
        state = "damaged"
    elif tail.finished:
        state = "finished"
    return Reading(entries, state, damage, len(tail.torn), tail.chain, tail.read)


class JournalIndex:
    """Index of a journal: for each step, the offset of its last line; and the debts of the run.

    Attributes:
        unsafe: The safe states of instruments that were not reached, by the key of their recipe.
        unconfirmed: Names of the instruments whose safe state was not confirmed.
        simulated: Names of the simulated instruments.
        debts: The safe states that the run owes, and the debts of earlier runs that it settles.
    """

    def __init__(self, path: Path) -> None:
        """Open a journal.

        Args:
            path: The file; it exists already.

        Raises:
            OSError: The file cannot be read.
        """
        self._file = path.open("rb")
        self._last: dict[tuple[str, str], int] = {}
        self.unsafe: dict[str, list[InstrumentSafe]] = {}
        self.unconfirmed: dict[str, None] = {}
        self.simulated: dict[str, None] = {}
        self.debts = Debts()

    def note(self, event: AnyEvent, offset: int) -> None:
        """Store the offset of an event that ends a step, and what became of an instrument.

        Args:
            event: The event that was written.
            offset: Offset of its line, in bytes.
        """
        if isinstance(event, StepFinished):
            self._last[event.recipe, event.step] = offset
        if not isinstance(event, EVENTS_OF_DEBTS):
            return
        self.debts.fold(event)
        if isinstance(event, InstrumentSafe) and event.reason and not event.run:
            self.unsafe.setdefault(event.recipe, []).append(event)
        elif isinstance(event, InstrumentSafe) and event.confirmation == SENT_NOT_CONFIRMED:
            self.unconfirmed[event.instrument] = None
        elif isinstance(event, InstrumentOpened) and event.simulation:
            self.simulated[event.instrument] = None

    def take(self, recipe: str, step: str) -> int | None:
        """Remove and return the offset of the last line of a step.

        Args:
            recipe: Key of the recipe.
            step: Name of the step.

        Returns:
            The offset in bytes; None if the step has no line that was not taken yet.
        """
        return self._last.pop((recipe, step), None)

    def line_at(self, offset: int) -> bytes:
        """Return the line at an offset, without its line feed.

        Args:
            offset: An offset that `take` returned.

        Raises:
            OSError: The journal cannot be read.
        """
        self._file.seek(offset)
        return self._file.readline().rstrip(b"\n")

    def at(self, offset: int) -> StepFinished:
        """Return the event in the line at an offset.

        Args:
            offset: An offset that `take` returned.

        Raises:
            JournalDamaged: The line was changed.
            OSError: The journal cannot be read.
        """
        event = decode_line(self.line_at(offset)).event
        if not isinstance(event, StepFinished):  # `note` stores the offsets of no other lines
            raise JournalDamaged.at(0, "it is no line on a step any more")
        return event

    def close(self) -> None:
        """Close the file."""
        self._file.close()
