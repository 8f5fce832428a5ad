"""Timeline of a recipe as an SVG picture of its own."""

from typing import Any, Final

import msgspec

from pytest_orchestrator.core.text import cut_to_width
from pytest_orchestrator.reports.html.timeline import Bar, Row, rows, tick_text, timeline_of
from pytest_orchestrator.reports.quantities import duration
from pytest_orchestrator.reports.states import COLOURS
from pytest_orchestrator.reports.templating import template
from pytest_orchestrator.reports.text import cut, look, sign
from pytest_orchestrator.runs.record import RecipeRecord
from pytest_orchestrator.runs.verdicts import NOT_GOOD

_WIDTH: Final = 960
_LEFT: Final = 200
_ROOM: Final = 30
"""Units at the right, for signs and the last tick."""
_HEIGHT: Final = 24
_TOP: Final = 8
_FOOT: Final = 52
_LONGEST: Final = 26
_TEXTS: Final = {
    "locked": "waiting for lock",
    "running": "running",
    "failed": "failed attempt",
    "retrying": "retry delay",
}
_CLASSES: Final = {"locked": "locked", "failed": "attempt", "retrying": "retrying"}


class _Span(msgspec.Struct, frozen=True):
    """Rectangle of a part of a bar."""

    classes: str
    x: float
    y: float
    width: float
    height: int
    title: str


class _Sign(msgspec.Struct, frozen=True):
    """Sign behind the bar of a step that did not pass."""

    text: str
    look: str
    x: float


class _Line(msgspec.Struct, frozen=True):
    """Row of the picture: a label with the height of its base, rectangles, and signs."""

    label: str
    y: int
    spans: list[_Span]
    signs: list[_Sign]


def svg(recipe: RecipeRecord, last: str) -> str | None:
    """Return the timeline of a recipe; None if no step of it ran.

    Args:
        recipe: The recipe.
        last: Time of the last line of the journal, in ISO 8601.
    """
    line = timeline_of(recipe.steps.values(), last)
    if line is None:
        return None
    scale = (_WIDTH - _LEFT - _ROOM) / line.seconds
    found = rows(line)
    bottom = _TOP + _HEIGHT * len(found)
    ticks = [
        (_at(seconds, scale), tick_text(seconds) if seconds else "0")
        for seconds in (0.0, *line.ticks)
    ]
    kinds = {span.kind for bar in line.bars for span in bar.spans}
    about: dict[str, Any] = recipe.about
    cell = f" [{about['cell']}]" if about.get("cell") else ""
    title = cut(f"{about.get('name') or recipe.key}{cell}", 200)
    waits = [text for kind, text in _TEXTS.items() if kind in kinds and kind != "running"]
    return template("bars.svg").render(
        width=_WIDTH,
        height=bottom + _FOOT,
        title=title,
        colours=COLOURS,
        grid="".join(f"M{x} {_TOP}V{bottom}" for x, _ in ticks),
        ticks=ticks,
        axis=bottom + 16,
        left=_LEFT - 10,
        lines=[_line(row, number, scale) for number, row in enumerate(found)],
        foot=bottom + 40,
        legend=" · ".join([title, duration(line.seconds), *waits]),
    )


def _at(seconds: float, scale: float) -> float:
    return round(_LEFT + seconds * scale, 1)


def _line(row: Row, number: int, scale: float) -> _Line:
    top = _TOP + _HEIGHT * number
    name = f"sampled: {row.name}" if row.bars[0].step.sampled else row.name
    label = cut_to_width(cut(name, 200), _LONGEST) or f"worker {number + 1}"
    spans = [span for bar in row.bars for span in _spans(bar, top, scale)]
    signs = [
        _Sign(sign(bar.step.word), look(bar.step.word), _at(bar.stop, scale) + 4)
        for bar in row.bars
        if bar.step.word in NOT_GOOD
    ]
    return _Line(label, top + 16, spans, signs)


def _spans(bar: Bar, top: int, scale: float) -> list[_Span]:
    word, found = bar.step.word, []
    for span in bar.spans:
        style = "running-now" if look(word) == "running" else look(word)
        is_thin = span.kind == "retrying"
        found.append(
            _Span(
                _CLASSES.get(span.kind, f"running {style}"),
                _at(span.start, scale),
                top + (11 if is_thin else 5),
                max(2.0, round((span.stop - span.start) * scale, 1)),
                2 if is_thin else 14,
                f"{cut(bar.step.name, 200)}, {word}: {_TEXTS[span.kind]} "
                f"{duration(span.stop - span.start)}, from {duration(span.start)}",
            )
        )
    return found
