"""Web application of the monitor: its URLs, and the files of a run.

A run folder may come from an untrusted source. A file is served as the browser must not mix it
with the pages of the monitor: it has an origin of its own and no type but that of its name.
"""

import os
import re
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import quote

from pytest_orchestrator.core.files import READ_FILE
from pytest_orchestrator.monitor.address import Address, address
from pytest_orchestrator.monitor.auth import require_token
from pytest_orchestrator.monitor.live import add_confirmation, events
from pytest_orchestrator.monitor.operator import add_operator_page
from pytest_orchestrator.monitor.pages import comparison, run, runs
from pytest_orchestrator.monitor.rendering import render
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.monitor.run_list import RunListCache
from pytest_orchestrator.monitor.station.page import add_station
from pytest_orchestrator.reports.html.render import NAME as REPORT
from pytest_orchestrator.reports.html.render import SCRIPTS, STYLES, source_of
from pytest_orchestrator.runs.folder import RunFile, RunFiles
from pytest_orchestrator.runs.history.build import past_run
from pytest_orchestrator.runs.index.estimates import StepEstimates
from pytest_orchestrator.runs.lookup import LATEST, NoRun
from pytest_orchestrator.runs.measurements.rows import FORMATS, rows_of

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.wrappers import Response as Redirect

    from pytest_orchestrator.monitor.station.station import Station

_PLAIN: Final = "text/plain; charset=utf-8"
_TEXTS: Final = (
    *("cfg", "csv", "ini", "json", "jsonl", "log", "md", "py", "rst", "sh", "stderr", "stdout"),
    *("toml", "tsv", "txt", "xml", "yaml", "yml"),
)
_TYPES: Final = {
    "gif": "image/gif",
    "htm": "text/html; charset=utf-8",
    "html": "text/html; charset=utf-8",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "mp4": "video/mp4",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webm": "video/webm",
    "webp": "image/webp",
}
"""Types of the files that a browser shows, by the end of their name; it saves all others."""
_CONTENT: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_POLICY: Final = f"sandbox; {_CONTENT}"
_REPORT_POLICY: Final = (
    "sandbox allow-scripts allow-popups allow-downloads allow-modals; "
    f"script-src 'unsafe-inline'; {_CONTENT}"
)
"""Policy of `report.html`, whose own policy permits only the script of this package."""


class _Part:
    """The first bytes of an open file, so that a file that grows has the announced size."""

    def __init__(self, file: BinaryIO, size: int) -> None:
        self._file, self._left = file, size

    def read(self, most: int) -> bytes:
        """Return the next bytes; empty at the end."""
        data = self._file.read(min(most, self._left))
        if not data and self._left:
            raise ConnectionError("the file became shorter")  # ends the connection
        self._left -= len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def file_response(run_cache: RunCache, run: str, path: str, *, download: bool) -> "Response":
    """Return the response with a file of a run; a range of it if the request has one.

    Args:
        run_cache: The runs.
        run: Name of the folder of the run.
        path: Path of the file in the folder, as the journal names it.
        download: True to make the browser save the file.

    Raises:
        NoRun: The run or the file does not exist, or the path leads out of the folder.
    """
    from flask import Response, request
    from werkzeug.exceptions import RequestedRangeNotSatisfiable
    from werkzeug.wsgi import wrap_file

    file = _opened(run_cache, run, path)
    status = os.fstat(file.fileno())
    name = PurePosixPath(path).name
    kind = _type(name)
    response = Response(
        wrap_file(request.environ, cast("IO[bytes]", _Part(file, status.st_size)), 1 << 16)
    )
    response.direct_passthrough = True
    response.headers["Content-Type"] = kind or "application/octet-stream"
    response.headers["Content-Security-Policy"] = _REPORT_POLICY if path == REPORT else _POLICY
    response.headers["Cross-Origin-Opener-Policy"] = "unsafe-none"  # else no sandbox may open
    response.headers["Cache-Control"] = "no-cache"
    response.headers["Content-Length"] = str(status.st_size)
    if download or not kind:
        response.headers["Content-Disposition"] = _saved_as(name)
    response.last_modified = datetime.fromtimestamp(status.st_mtime, UTC)
    response.set_etag(f"{status.st_mtime_ns:x}-{status.st_size:x}")
    try:
        response.make_conditional(request, accept_ranges=True, complete_length=status.st_size)
    except RequestedRangeNotSatisfiable:
        response.close()
        raise
    return response


def _opened(run_cache: RunCache, run: str, path: str) -> BinaryIO:
    at = RunFiles(run_cache.folder(run)).at(RunFile(path))
    try:
        if at is not None and at.is_file():
            return os.fdopen(os.open(at, READ_FILE), "rb")
    except (OSError, ValueError):
        pass
    raise NoRun(f"no file {path[:80]!r} in run {run}")


def _type(name: str) -> str:
    """Return the type of a file that a browser shows; empty for one that it saves."""
    end = name.rpartition(".")[2].lower()
    return _PLAIN if end in _TEXTS else _TYPES.get(end, "")


def _saved_as(name: str) -> str:
    """Return the header with which a browser saves a file under a name."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    quoted = quote(name, safe="", errors="replace")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quoted}"


_ASSETS = Path(__file__).with_name("assets")
_SECTIONS: Final = {
    "context": "context",
    "graph": "recipes",
    "measurements": "measurements",
    "resources": "steps",
    "steps": "steps",
    "tests": "tests",
    "timeline": "recipes",
}
"""Sections of the page of a run, by the names of the pages that earlier versions had for them."""


def application(
    base: Path,
    token: str,
    hosts: Collection[str],
    operating: str | None = None,
    station: "Station | None" = None,
) -> "Flask":
    """Return the web application of the monitor.

    Args:
        base: The folder that contains the run folders.
        token: The access token of the printed link.
        hosts: Allowed values of the header `Host`, without a port.
        operating: The token that operates a station; None for a monitor.
        station: The station that the operator page operates; None for a monitor.
    """
    from flask import Flask

    server = Flask(__name__, static_folder=str(_ASSETS), static_url_path="/assets")
    server.debug = False  # also if FLASK_DEBUG is set
    run_cache = RunCache(base)
    run_list = RunListCache(run_cache)
    _add_run_pages(server, run_cache)
    _add_log(server, run_cache)
    _add_files(server, run_cache)
    _add_measurements(server, run_cache)
    _add_list(server, run_list)
    add_operator_page(server, run_cache, station)
    if station is not None:
        add_station(server, station)
    add_confirmation(server)
    server.register_error_handler(NoRun, lambda error: (_missing(f"{error}."), 404))
    server.register_error_handler(404, lambda _: (_missing("This page does not exist."), 404))
    require_token(server, token, hosts, operating)
    return server


def _missing(text: str) -> str:
    return render("missing.html", text=text[:1].upper() + text[1:])


def _newest(run_cache: RunCache) -> str:
    name = run_cache.newest()
    if not name:
        raise NoRun(f"there is no run in {run_cache.base}; pytest makes one")
    return name


def _add_run_pages(server: "Flask", run_cache: RunCache) -> None:
    """Add the page of a run, and the stream of its changes."""
    from flask import redirect, request

    estimates = StepEstimates()

    @server.get("/run/<name>")
    def open_run(name: str) -> "str | Redirect":
        if run_cache.is_awaited(name):
            return render("waits.html", events=f"/run/{name}/events")
        if name == LATEST:
            return redirect(f"/run/{_newest(run_cache)}{_query()}")
        return run.page(run_cache, estimates, address(name, "", request.args))

    @server.get("/run/<name>/events")
    def follow_run(name: str) -> "Response":
        return _run_events(run_cache, name, address(name, "", request.args))


def _query() -> str:
    """Return the query of the request, after a question mark; empty without one."""
    from flask import request

    return f"?{request.query_string.decode()}" if request.query_string else ""


def _add_log(server: "Flask", run_cache: RunCache) -> None:
    """Add the page of a log, the stream of its changes, and the former addresses of sections."""
    from flask import redirect, request

    @server.get(f"/run/<name>/{run.LOG}")
    def open_log(name: str) -> "str | Redirect":
        if name == LATEST:
            return redirect(f"/run/{_newest(run_cache)}/{run.LOG}{_query()}")
        return run.log_page(run_cache, address(name, run.LOG, request.args))

    @server.get(f"/run/<name>/{run.LOG}/events")
    def follow_log(name: str) -> "Response":
        return _run_events(run_cache, name, address(name, run.LOG, request.args))

    @server.get("/run/<name>/<section>")
    def open_section(name: str, section: str) -> "Redirect | tuple[str, int]":
        if section not in _SECTIONS:
            return _missing("This page does not exist."), 404
        return redirect(f"/run/{name}{_query()}#{_SECTIONS[section]}")


def _run_events(run_cache: RunCache, name: str, one: Address) -> "Response":
    """Return the stream of changes of a page of a run, which may be awaited."""
    awaited = run_cache.is_awaited(name)
    if not awaited:
        run_cache.folder(name)

    def version() -> tuple[str, bool]:
        return (
            ("", False) if awaited and run_cache.is_awaited(name) else run.version(run_cache, one)
        )

    return events(version)


def _add_files(server: "Flask", run_cache: RunCache) -> None:
    """Add the files of the runs."""
    from flask import request

    @server.get("/run/<name>/file/<path:path>")
    def open_file(name: str, path: str) -> "Response":
        return file_response(run_cache, name, path, download="download" in request.args)


def _add_measurements(server: "Flask", run_cache: RunCache) -> None:
    """Add the file with all measurements of a run, as `pytest-orchestrator measurements` has it."""
    from flask import Response

    @server.get("/run/<name>/measurements.csv")
    def download_measurements(name: str) -> "Response":
        past = run_cache.read(name, lambda view: past_run(view.record, name))
        table = FORMATS["csv"]
        lines = table.lines(rows_of([past]))
        file = f'attachment; filename="{name}-measurements.csv"'
        headers = {"Content-Disposition": file}
        return Response(table.header + lines, mimetype="text/csv", headers=headers)


def _add_list(server: "Flask", run_list: RunListCache) -> None:
    """Add the pages of all runs, and the style and the script of `report.html`."""
    from flask import Response, redirect, request

    @server.get("/")
    def list_runs() -> str:
        return runs.page(run_list, request.args)

    @server.get("/events")
    def follow_list() -> "Response":
        version: Callable[[], tuple[str, bool]] = lambda: (str(run_list.version), False)  # noqa: E731
        return events(version)

    @server.get("/compare")
    def compare() -> str:
        return comparison.page(run_list.runs, request.args.getlist("run"), request.args)

    @server.get("/recipe")
    def show_recipe() -> "Redirect | tuple[str, int]":
        """Lead from the page that earlier versions had for a recipe to its history."""
        path = request.args.get("path", "")
        for row in run_list.rows(wait=True):
            if row.has_folder and any(one.path == path for one in row.recipes):
                return redirect(runs.recipe_url(row.id, path))
        return _missing(f"No run of {path[:200]} was found."), 404

    def asset(names: tuple[str, ...], kind: str) -> "Response":
        cached = {"Cache-Control": "max-age=3600"}
        return Response(source_of(names), mimetype=kind, headers=cached)

    server.get("/assets/page.css", endpoint="style")(lambda: asset(STYLES, "text/css"))
    server.get("/assets/page.js", endpoint="script")(lambda: asset(SCRIPTS, "text/javascript"))
