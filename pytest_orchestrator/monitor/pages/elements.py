"""Elements of a step with ``foreach``: their progress, a table, and a curve per measurement."""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, Final

from dash import html

from pytest_orchestrator.core.text import counted
from pytest_orchestrator.monitor.pages.graph import COLOURS
from pytest_orchestrator.reports.html.element_view import HEIGHT, WIDTH, Curve, ElementTable
from pytest_orchestrator.runs.record import ACTIVE, StepRecord

_MOST_CURVES: Final = 6


def progress(step: StepRecord) -> str:
    """Return the number of elements of an active step that have ended; empty without any."""
    if step.progress is None or step.state not in ACTIVE:
        return ""
    done = step.progress
    text = f"{done.ended:,} of {counted(done.total, 'element')}"
    return f"{text}, {done.failed:,} failed" if done.failed else text


def table(shown: ElementTable) -> list[Any]:
    """Return a table of the elements."""
    head = ["Index", "Element", "State", "Seconds", *shown.names, "Reason"]
    rows = [
        html.Tr(
            [
                html.Td(one.number, className="figure"),
                html.Td(one.item),
                html.Td(f"{one.sign} {one.state}", className=f"text-{one.look}"),
                html.Td(one.seconds, className="figure"),
                *(html.Td(text, className=f"figure text-{style}") for text, style in one.measured),
                html.Td(one.reason),
            ]
        )
        for one in shown.rows
    ]
    more = [html.P(f"and {shown.more:,} more")] if shown.more else []
    top = html.Thead(html.Tr([html.Th(name) for name in head]))
    return [html.Table([top, html.Tbody(rows)]), *more]


def curves(shown: Sequence[Curve]) -> list[Any]:
    """Return a picture for each of the first measurements, with its name and its range."""
    return [
        html.Figure(
            [
                html.Figcaption(f"{one.name}: {one.bottom} to {one.top}"),
                html.Img(src=_url(one), alt=one.label),
                html.Div([html.Span(one.first), html.Span(one.last)], className="ends quiet"),
            ],
            className="course",
        )
        for one in shown[:_MOST_CURVES]
    ]


def _url(curve: Curve) -> str:
    """Return a curve as the data URL of an SVG image."""
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>{"".join(_shapes(curve))}</svg>'
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()


def _shapes(curve: Curve) -> Iterator[str]:
    width = 'fill="none" vector-effect="non-scaling-stroke" stroke-width'
    for points in (curve.low, curve.high):
        if points:
            stroke = f'stroke="{COLOURS["failed"]}" stroke-dasharray="5 4"'
            yield f'<polyline points="{escape(points)}" {stroke} {width}="1"/>'
    yield f'<polyline points="{escape(curve.line)}" stroke="{COLOURS["running"]}" {width}="1.5"/>'
    for mark in curve.marks:
        stroke = f'stroke="{COLOURS[mark.look]}" stroke-linecap="round"'
        yield f'<path d="M{mark.x} {mark.y}h0" {stroke} {width}="6"/>'
