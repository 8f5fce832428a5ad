"""What was measured, as text for a terminal, as Markdown and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    """A figure that is held against the most that it may be.

    Attributes:
        name: What it says.
        value: The figure.
        unit: `x` for a ratio.
        most: The most that it may be.
    """

    name: str
    value: float
    unit: str
    most: float

    @property
    def held(self) -> bool:
        """Whether it is within."""
        return self.value <= self.most

    @property
    def told(self) -> str:
        """One line."""
        word = "held" if self.held else "MISSED"
        return f"{self.name}: {self.value:.2f} {self.unit}, goal {self.most:g}: {word}"


class Table(NamedTuple):
    """A table of figures, each the median over rounds.

    Attributes:
        title: What was measured.
        columns: Names of the columns, with their units; of the figures `None` is not measured.
        rows: The figures.
        goals: What is held against a goal.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[float | str | None, ...]]
    goals: Sequence[Goal] = ()

    def text(self) -> str:
        """Lay it out for a terminal."""
        cells = [self.columns, *(tuple(map(_shown, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in cells]
        return "\n".join([self.title, *lines, *(goal.told for goal in self.goals)])

    def markdown(self) -> str:
        """Lay it out for a page."""
        rows = [
            self.columns,
            ("---:",) * len(self.columns),
            *(map(_shown, row) for row in self.rows),
        ]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        goals = [f"- {goal.told}" for goal in self.goals]
        return "\n".join([f"### {self.title}", "", *lines, "", *goals]).rstrip()

    def plain(self) -> Mapping[str, object]:
        """Return it as JSON can hold it."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        goals = [goal._asdict() | {"held": goal.held} for goal in self.goals]
        return {"title": self.title, "rows": rows, "goals": goals}


def _shown(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"


def held(tables: Iterable[Table]) -> bool:
    """Tell whether all goals were held."""
    return all(goal.held for table in tables for goal in table.goals)
