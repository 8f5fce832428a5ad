"""Page that compares two runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from dash import dcc, html

from pytest_orchestrator.core.text import cut_to_length, figure
from pytest_orchestrator.monitor.pages.run import footer
from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache
from pytest_orchestrator.reports.text import duration, look, sign
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.compare.comparison import compare_runs

if TYPE_CHECKING:
    from dash import Dash

_MAX_ROWS: Final = 300
_VALUE_LENGTH: Final = 200


def layout(run_cache: RunCache, a: str, b: str) -> Any:
    """Return the page that compares two runs."""
    try:
        comparison = compare_runs(
            lookup.load_record(run_cache.folder(a)), lookup.load_record(run_cache.folder(b))
        )
    except lookup.NoRun as error:
        gone = html.P([f"{error}; it may have been deleted. ", dcc.Link("All runs", href="/")])
        return html.Main([html.Header(html.H1("Comparison")), gone, footer()], className="page")
    parts = [part for part in _parts(comparison) if part is not None]
    same = html.P("No significant differences.", className="quiet")
    return html.Main(
        [
            html.Header(
                [dcc.Link("Runs", href="/"), html.H1("Run comparison"), *_heads(comparison)]
            ),
            html.Div(parts or same, className="fill scroll"),
            footer("foot", f"Reading {run_cache.base}"),
        ],
        className="page",
    )


def register(app: "Dash", run_cache: RunCache, run_list: RunListCache) -> None:
    """Register no callback: both runs are read once, when the page is opened."""


def _heads(comparison: Mapping[str, Any]) -> Iterable[Any]:
    for name in ("a", "b"):
        run = comparison[name]
        word = run["verdict"]
        yield html.Div(
            [
                html.Span(name.upper(), className="quiet"),
                dcc.Link(run["id"], href=f"/run/{quote(run['id'])}"),
                html.Span(f"{sign(word)} {word}", className=f"badge look-{look(word)}"),
                html.Span(duration(run["seconds"]), className="quiet"),
            ],
            className="line",
        )


def _parts(comparison: Mapping[str, Any]) -> Iterable[Any]:
    """Yield a table for each kind of difference; None for a kind without differences."""
    figures = [one for one in comparison["figures"] + comparison["measurements"] if one["drifted"]]
    yield _table(
        "Outcomes",
        ("Step", "A", "B", "Reason"),
        [
            (_step(one), one["a"] or "-", one["b"] or "-", one.get("reason", ""))
            for one in comparison["outcomes"]
        ],
    )
    yield _table("Unusual", ("Step", "Figure", "A", "B"), map(_figure, figures))
    different = [one for one in comparison["measurements"] if one["a"] != one["b"]]
    yield _table("Measurements", ("Step", "Measurement", "A", "B"), map(_figure, different))
    keys = [(one["key"], _value(one, "a"), _value(one, "b")) for one in comparison["context"]]
    yield _table("Context", ("Key", "A", "B"), keys)
    code = [
        (one["path"], (one["a"] or "-")[:12], (one["b"] or "-")[:12]) for one in comparison["code"]
    ]
    yield _table("Code", ("File", "A", "B"), code)
    names = [(one["name"], _value(one, "a"), _value(one, "b")) for one in comparison["environment"]]
    yield _table("Environment", ("Name", "A", "B"), names)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> Any | None:
    shown = [html.Tr([html.Td(cell) for cell in row]) for row in islice(rows, _MAX_ROWS)]
    if not shown:
        return None
    top = html.Thead(html.Tr([html.Th(name) for name in head]))
    return html.Section([html.H2(title), html.Table([top, html.Tbody(shown)], className="rows")])


def _step(one: Mapping[str, Any]) -> str:
    return f"{one['recipe']}::{one['step']}"


def _figure(one: Mapping[str, Any]) -> tuple[str, ...]:
    unit = f" {one['unit']}" if one["unit"] else ""
    before, after = (figure(one[side], one.get("precision")) for side in ("a", "b"))
    near = " (marginal)" if one.get("marginal") else ""
    return _step(one), one["figure"], f"{before}{unit}", f"{after}{unit}{near}"


def _value(one: Mapping[str, Any], side: str) -> str:
    if side not in one:
        return "-"
    return cut_to_length(json.dumps(one[side], ensure_ascii=False), _VALUE_LENGTH)
