"""Dash application of the monitor."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dash import ClientsideFunction, Dash, Input, Output, dcc, html

from pytest_orchestrator.monitor.auth import require_token
from pytest_orchestrator.monitor.pages import comparison, graph, run, runs
from pytest_orchestrator.monitor.run_cache import RunCache, RunListCache

if TYPE_CHECKING:
    from flask import Flask

_SECOND = 1000


def application(base: Path, token: str, hosts: Collection[str]) -> "Flask":
    """Return the web application of the monitor.

    Args:
        base: The folder that contains the run folders.
        token: The access token of the printed link.
        hosts: Allowed values of the header `Host`, without a port.
    """
    graph.prepare()
    app = Dash(
        __name__,
        title="runs",
        update_title="",
        serve_locally=True,
        use_pages=False,
        suppress_callback_exceptions=True,
        add_log_handler=False,
        enable_mcp=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    run_cache = RunCache(base)
    run_list = RunListCache(run_cache)
    app.layout = html.Div(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Interval(id="interval", interval=_SECOND),
            dcc.Store(id="tick"),
            html.Div(id="page"),
        ]
    )
    app.callback(Output("page", "children"), Input("url", "pathname"))(
        lambda path: _page(path or "/", run_cache, run_list)
    )
    # Dash drops the reply to a request after which another one was sent. So a page sends the
    # next request only once all replies have arrived.
    app.clientside_callback(
        ClientsideFunction("monitor", "when_idle"),
        Output("tick", "data"),
        Input("interval", "n_intervals"),
        prevent_initial_call=True,
    )
    for page in (runs, comparison, run):
        page.register(app, run_cache, run_list)
    server: Flask = app.server
    server.debug = False  # also if FLASK_DEBUG is set
    require_token(server, token, hosts, app.csp_hashes())
    return server


def _page(path: str, run_cache: RunCache, run_list: RunListCache) -> Any:
    """Return the content of the page at a URL path."""
    match path.strip("/").split("/"):
        case [""]:
            return runs.layout(run_cache, run_list)
        case ["run", name]:
            return run.layout(run_cache, name)
        case ["compare", a, b]:
            return comparison.layout(run_cache, a, b)
        case _:
            return html.Main([html.P("Page not found."), dcc.Link("All runs", href="/")])
