"""Steps read back from a journal that is still written.

Who tells of a run at its end has the journal for that, and keeps nothing of a step but where its
line begins.
"""

from pathlib import Path

from pytest_orchestrator.core.chain import JournalDamaged, entry_of
from pytest_orchestrator.core.events import AnyEvent, StepFinished


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
