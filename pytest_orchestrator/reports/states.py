"""States of steps and verdicts of runs: their words, signs, styles, colours, and the legend.

The terminal, `report.html`, the monitor, the pictures of graphs, the summary of a GitHub job and
the lists of runs take them from here.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple


class State(NamedTuple):
    """Sign, style and colour of a state.

    Attributes:
        sign: Character before the word, for readers who do not see the colour.
        look: Style: passed, failed, blocked, running, skipped or waiting.
        terminal: Colour of the word in a terminal; empty for that of other text.
    """

    sign: str
    look: str
    terminal: str = ""


STATES: Final = {
    "passed": State("✔", "passed", "green"),
    "failed": State("✘", "failed", "red"),
    "timeout": State("◷", "failed", "red"),
    "error": State("‼", "failed", "red"),
    "damaged": State("!", "failed"),
    "interrupted": State("!", "blocked", "yellow"),
    "blocked": State("⊘", "blocked", "yellow"),
    "marginal": State("≈", "blocked", "yellow"),
    "running": State("▶", "running"),
    "retrying": State("↻", "running"),
    "locked": State("◔", "running"),
    "asks": State("?", "running"),
    "xfailed": State("⊖", "skipped", "yellow"),
    "xpassed": State("✔", "passed", "yellow"),
    "restored": State("↺", "passed"),
    "skipped": State("○", "skipped", "yellow"),
    "not run": State("□", "waiting", "yellow"),
    "not selected": State("·", "waiting"),
    "waiting": State("·", "waiting"),
    "empty": State("·", "waiting"),
}
"""All words of states, verdicts and flags."""

NOT_GOOD: Final = frozenset({"failed", "timeout", "error", "interrupted"})
"""Words of steps that ran and did not pass."""

UNKNOWN: Final = State("·", "waiting")
"""State of a word that is not in the table."""


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
