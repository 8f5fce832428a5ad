"""Journals read back: what a killed run left is told from what somebody has changed.

A torn last line is what a process leaves that was killed while it wrote. Anything else that
is not as it was written is damage, and is told with its line; what comes after it is not read.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from pytest_orchestrator.core.chain import Chain, Entry, JournalDamaged
from pytest_orchestrator.core.events import RunFinished
from pytest_orchestrator.run.journal import is_written

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


def read(path: Path) -> Reading:
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
