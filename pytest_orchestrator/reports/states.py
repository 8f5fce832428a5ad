"""Colours of the styles of states on pages and pictures, and the legend of a graph.

The words of the states with their signs and styles are in `runs.verdicts`.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from pytest_orchestrator.runs.verdicts import STATES, UNKNOWN


class Colours(NamedTuple):
    """Colours of a style: line and text, and the ground below them, for a light and a dark page."""

    line: str
    ground: str
    dark_line: str
    dark_ground: str


COLOURS: Final = {
    "passed": Colours("#116329", "#dafbe1", "#56d364", "#0f2a17"),
    "failed": Colours("#a40e26", "#ffebe9", "#ff7b72", "#3a1418"),
    "blocked": Colours("#7d4e00", "#fff8c5", "#e3b341", "#2e2506"),
    "running": Colours("#0550ae", "#ddf4ff", "#79c0ff", "#0c2744"),
    "skipped": Colours("#57606a", "#eef1f4", "#9da7b3", "#1c2129"),
    "waiting": Colours("#57606a", "#ffffff", "#9da7b3", "#0d1117"),
}
"""Colours by style. Texts of them have a contrast of at least 4.5 to their ground."""


class Legend(NamedTuple):
    """Legend of a graph.

    Attributes:
        states: The words of the states in it.
        marks: The other marks: ``solid`` and ``dashed`` arrows, ``final`` and ``folded`` boxes.
    """

    states: tuple[str, ...]
    marks: tuple[str, ...]

    @property
    def texts(self) -> list[str]:
        """The entries, each with its sign."""
        signs = [f"{STATES.get(word, UNKNOWN).sign} {word}" for word in self.states]
        return signs + [MARKS[mark] for mark in self.marks]


MARKS: Final = {
    "solid": "→ needs",
    "dashed": "⇢ after, finally",
    "final": "┄ dashed box: finally",
    "folded": "▣ several steps in one box",
}
"""Texts of the marks in a legend that are no states."""


def legend(words: Iterable[str], marks: Iterable[str]) -> Legend:
    """Return the legend for the states and marks of a picture, in the order of the tables."""
    used, drawn = {*words}, {*marks}
    known = [word for word in STATES if word in used]
    return Legend(
        (*known, *sorted(used - {*known, ""})), tuple(mark for mark in MARKS if mark in drawn)
    )
