"""Comparison page of two runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from dash import dcc, html

from pytest_orchestrator.monitor.pages.run import footer
from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache
from pytest_orchestrator.reports.text import duration, look, sign
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.comparison import compared

if TYPE_CHECKING:
    from dash import Dash

_MOST: Final = 300
_LONGEST: Final = 200


def layout(watch: RunCache, a: str, b: str) -> Any:
    """Return the page."""
    try:
        told = compared(lookup.load_record(watch.folder(a)), lookup.load_record(watch.folder(b)))
    except lookup.NoRun as error:
        gone = html.P([f"{error}; it may have been deleted. ", dcc.Link("all runs", href="/")])
        return html.Main([html.Header(html.H1("Comparison")), gone, footer()], className="page")
    parts = [part for part in _parts(told) if part is not None]
    same = html.P("No difference but that of noise.", className="quiet")
    return html.Main(
        [
            html.Header([dcc.Link("runs", href="/"), html.H1("Two runs"), *_heads(told)]),
            html.Div(parts or same, className="fill scroll"),
            footer("foot", f"source {watch.base}"),
        ],
        className="page",
    )


def register(app: "Dash", watch: RunCache, shelf: RunListCache) -> None:
    """Two runs that are compared are read once: nothing is followed."""


def _heads(told: Mapping[str, Any]) -> Iterable[Any]:
    for name in ("a", "b"):
        one = told[name]
        word = one["verdict"]
        yield html.Div(
            [
                html.Span(name.upper(), className="quiet"),
                dcc.Link(one["id"], href=f"/run/{quote(one['id'])}"),
                html.Span(f"{sign(word)} {word}", className=f"badge look-{look(word)}"),
                html.Span(duration(one["seconds"]), className="quiet"),
            ],
            className="line",
        )


def _parts(told: Mapping[str, Any]) -> Iterable[Any]:
    """Give a table for each way in which they differ."""
    figures = [one for one in told["figures"] + told["measurements"] if one["drifted"]]
    yield _table(
        "Outcomes",
        ("step", "A", "B", "reason"),
        [
            (_step(one), one["a"] or "-", one["b"] or "-", one.get("reason", ""))
            for one in told["outcomes"]
        ],
    )
    yield _table("Out of the usual", ("step", "figure", "A", "B"), map(_figure, figures))
    different = [one for one in told["measurements"] if one["a"] != one["b"]]
    yield _table("Measurements", ("step", "figure", "A", "B"), map(_figure, different))
    keys = [(one["key"], _value(one, "a"), _value(one, "b")) for one in told["context"]]
    yield _table("Context", ("key", "A", "B"), keys)
    code = [(one["path"], (one["a"] or "-")[:12], (one["b"] or "-")[:12]) for one in told["code"]]
    yield _table("Code", ("file", "A", "B"), code)
    names = [(one["name"], _value(one, "a"), _value(one, "b")) for one in told["environment"]]
    yield _table("Environment", ("name", "A", "B"), names)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Any | None:
    shown = [html.Tr([html.Td(cell) for cell in row]) for row in islice(rows, _MOST)]
    if not shown:
        return None
    top = html.Thead(html.Tr([html.Th(name) for name in head]))
    return html.Section([html.H2(title), html.Table([top, html.Tbody(shown)], className="rows")])


def _step(one: Mapping[str, Any]) -> str:
    return f"{one['recipe']}::{one['step']}"


def _figure(one: Mapping[str, Any]) -> tuple[str, ...]:
    unit = f" {one['unit']}" if one["unit"] else ""
    return _step(one), one["figure"], f"{one['a']:g}{unit}", f"{one['b']:g}{unit}"


def _value(one: Mapping[str, Any], side: str) -> str:
    if side not in one:
        return "-"
    text = json.dumps(one[side], ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
