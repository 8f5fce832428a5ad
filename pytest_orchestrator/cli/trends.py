"""`runs --trend`: what steps took and measured from run to run, as text or JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pytest_orchestrator.cli import past
from pytest_orchestrator.cli.mistakes import Mistake
from pytest_orchestrator.reports.text import aligned, say, say_json

if TYPE_CHECKING:
    from pytest_orchestrator.runs.compare.history import Trend

_BARS = "▁▂▃▄▅▆▇█"
_LONGEST = 20


def show(name: str, *, as_json: bool) -> int:
    """Print the trends of a step or a measurement, or of all steps where the name is empty.

    Raises:
        Mistake: No run has a step or a measurement of that name.
    """
    from pytest_orchestrator.core.suggestions import nearest
    from pytest_orchestrator.runs import lookup
    from pytest_orchestrator.runs.compare.history import trends

    folders = lookup.run_folders(past.base())
    found = trends(folders, name)
    if name and not found:
        known = {word for one in trends(folders) for word in (one.step, one.figure)}
        raise Mistake(f"no step and no measurement '{name}' in any run{nearest(name, known)}")
    if as_json:
        say_json({"trends": [_plain(one) for one in found]})
        return 0
    say(*_lines(found, points=bool(name)))
    return 0


def _lines(found: "Sequence[Trend]", *, points: bool) -> Iterator[str]:
    if not found:
        yield f"no run in {past.base()}"
        return
    head = ("recipe", "step", "figure", "runs", "median", "spread", "last", "")
    yield from aligned([head, *map(_row, found)], frozenset({3, 4, 5, 6}))
    for one in found if points else ():
        yield ""
        yield f"{one.step} {one.figure}{f', {one.unit}' if one.unit else ''}"
        rows = [
            (f"  {each.run}", shown(each.value, one.unit), "" if each.passed else "recipe failed")
            for each in one.points
        ]
        yield from aligned(rows, frozenset({1}))


def _row(one: "Trend") -> tuple[str, ...]:
    known = one.usual
    drift = f"  {shown(one.drift.factor, '')} times" if one.drift else ""
    return (
        one.recipe,
        one.step,
        one.figure,
        str(len(one.points)),
        with_unit(known.median, one.unit) if known else "-",
        shown(known.spread, one.unit) if known else "-",
        shown(one.points[-1].value, one.unit),
        f"{_drawn([point.value for point in one.points[-_LONGEST:]])}{drift}",
    )


def shown(value: float, unit: str) -> str:
    """Show a figure to a person; bytes in millions."""
    return f"{value / 1e6 if unit == 'bytes' else value:.4g}"


def with_unit(value: float, unit: str) -> str:
    """Show a figure with its unit."""
    return f"{shown(value, unit)} {'MB' if unit == 'bytes' else unit}".rstrip()


def _drawn(values: Sequence[float]) -> str:
    """Draw figures as bars of text, from the smallest to the largest."""
    low, high = min(values), max(values)
    room = (high - low) or 1
    return "".join(_BARS[round((one - low) / room * (len(_BARS) - 1))] for one in values)


def _plain(one: "Trend") -> dict[str, Any]:
    return {
        **one._asdict(),
        "points": [point._asdict() for point in one.points],
        "usual": one.usual and one.usual._asdict(),
        "drift": one.drift and {"factor": one.drift.factor, "limit": one.drift.limit},
    }
