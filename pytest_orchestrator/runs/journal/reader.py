"""Journal reader: tells a torn end from damage, follows a growing journal.

A torn last line is what a process leaves that was killed while it wrote. Anything else that
is not as it was written is damage, and is told with its line; what comes after it is not read.

Who tells of a run at its end has the journal for that, and keeps nothing of a step but where its
line begins.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pytest_orchestrator.core.events import AnyEvent, RunFinished, StepFinished
from pytest_orchestrator.runs.journal.chain import Chain, Entry, JournalDamaged, entry_of
from pytest_orchestrator.runs.journal.writer import is_written

_CHUNK = 1 << 20

State = Literal["finished", "interrupted", "running", "damaged"]


class Tail:
    """Reads a journal as it grows: bytes in any pieces become entries.

    Attributes:
        chain: The end of what was read.
        finished: The last line was read, and nothing may follow it.
        read: Number of the bytes that whole lines have had so far.
    """

    def __init__(self) -> None:
        self.chain = Chain()
        self.finished = False
        self.read = 0
        self._rest = b""

    @property
    def torn(self) -> bytes:
        """What there is of a line that has not ended."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[Entry]:
        """Take the next bytes and give the entries that they complete.

        Raises:
            JournalDamaged: A line is not what was written there.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            if self.finished:
                raise self._behind()
            entry = self.chain.take(line)
            self.read += len(line) + 1
            if isinstance(entry.event, RunFinished):
                self._check(entry.event)
            yield entry

    def end(self) -> None:
        """Take note that no byte follows.

        Raises:
            JournalDamaged: A piece of a line stands behind the end of the run.
        """
        if self.finished and self._rest:
            raise self._behind()

    def _behind(self) -> JournalDamaged:
        return JournalDamaged.at(self.chain.length + 1, "it stands behind the end of the run")

    def _check(self, last: RunFinished) -> None:
        if last.lines != self.chain.length - 1:
            raise JournalDamaged.at(self.chain.length, f"it seals {last.lines} lines before it")
        self.finished = True


class Reading(NamedTuple):
    """A journal as far as it can be trusted.

    Attributes:
        entries: What was read, in order.
        state: finished; running while a process writes it; interrupted where none does and it
            has no end; damaged where a line is not what was written.
        damage: The first line that is not, and why.
        torn: Bytes of a last line that was cut while it was written.
        chain: The end of what was read.
        size: Number of the bytes that the entries take.
    """

    entries: list[Entry]
    state: State
    damage: JournalDamaged | None
    torn: int
    chain: Chain
    size: int


def read_journal(path: Path) -> Reading:
    """Read a whole journal.

    Args:
        path: The file.

    Returns:
        Its entries up to the first damage, and how it ends.

    Raises:
        OSError: It cannot be read.
    """
    tail = Tail()
    entries: list[Entry] = []
    damage: JournalDamaged | None = None
    running = is_written(path)
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                # One by one: those before the damage count.
                for entry in tail.feed(chunk):
                    entries.append(entry)  # noqa: PERF402
        tail.end()
    except JournalDamaged as error:
        damage = error
    state: State = "running" if running else "interrupted"
    if damage is not None:
        state = "damaged"
    elif tail.finished:
        state = "finished"
    return Reading(entries, state, damage, len(tail.torn), tail.chain, tail.read)


class Lines:
    """The last line on each step, as long as nobody has asked for it."""

    def __init__(self, path: Path) -> None:
        """Open a journal.

        Args:
            path: The file, which is there already.

        Raises:
            OSError: It cannot be read.
        """
        self._file = path.open("rb")
        self._last: dict[tuple[str, str], int] = {}

    def note(self, event: AnyEvent, offset: int) -> None:
        """Take note of an event.

        Args:
            event: What was written.
            offset: Where its line begins, in bytes.
        """
        if isinstance(event, StepFinished):
            self._last[event.recipe, event.step] = offset

    def take(self, recipe: str, step: str) -> int | None:
        """Return where the last line on a step begins; it is known to who asks from then on.

        Args:
            recipe: Key of its recipe.
            step: Its name.

        Returns:
            Bytes from the beginning; None where there was no line since somebody asked.
        """
        return self._last.pop((recipe, step), None)

    def at(self, offset: int) -> StepFinished:
        """Read a line.

        Args:
            offset: As `take` returns it.

        Raises:
            JournalDamaged: It is not there any more.
            OSError: The journal cannot be read.
        """
        self._file.seek(offset)
        event = entry_of(self._file.readline().rstrip(b"\n")).event
        if not isinstance(event, StepFinished):  # such lines alone are noted
            raise JournalDamaged.at(0, "it is no line on a step any more")
        return event

    def close(self) -> None:
        """Read no more."""
        self._file.close()
