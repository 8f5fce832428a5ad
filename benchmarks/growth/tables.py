"""Tables of results, as text for a terminal, as Markdown and as JSON."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple


class Goal(NamedTuple):
    """A figure with an upper limit.

    Attributes:
        name: Its description.
        value: The figure.
        unit: The unit; `x` for a ratio.
        most: The highest accepted value.
    """

    name: str
    value: float
    unit: str
    most: float

    @property
    def held(self) -> bool:
        """True if the figure does not exceed the limit."""
        return self.value <= self.most

    @property
    def line(self) -> str:
        """The figure, its goal and the verdict, in one line."""
        verdict = "met" if self.held else "MISSED"
        return f"{self.name}: {self.value:.2f} {self.unit}, goal {self.most:g}: {verdict}"


class Table(NamedTuple):
    """A table of figures, each the median over rounds.

    Attributes:
        title: The title.
        columns: Names of the columns, with their units.
        rows: The figures; None stands for a figure that was not measured.
        goals: The figures that have a goal.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[float | str | None, ...]]
    goals: Sequence[Goal] = ()

    def text(self) -> str:
        """Return the table as text for a terminal."""
        cells = [self.columns, *(tuple(map(_format, row)) for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = ["  ".join(map(str.rjust, row, widths)) for row in cells]
        return "\n".join([self.title, *lines, *(goal.line for goal in self.goals)])

    def markdown(self) -> str:
        """Return the table as Markdown."""
        rows = [
            self.columns,
            ("---:",) * len(self.columns),
            *(map(_format, row) for row in self.rows),
        ]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        goals = [f"- {goal.line}" for goal in self.goals]
        return "\n".join([f"### {self.title}", "", *lines, "", *goals]).rstrip()

    def plain(self) -> Mapping[str, object]:
        """Return the table as a mapping that JSON can represent."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        goals = [goal._asdict() | {"held": goal.held} for goal in self.goals]
        return {"title": self.title, "rows": rows, "goals": goals}


def _format(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or abs(value) >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) < 100 else f"{value:.1f}"


def held(tables: Iterable[Table]) -> bool:
    """Return True if all goals were met."""
    return all(goal.held for table in tables for goal in table.goals)
