"""Files of a run over HTTP.

A run folder may come from an untrusted source. A file is served as the browser must not mix it
with the pages of the monitor: it has an origin of its own and no type but that of its name.
"""

import os
import re
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, BinaryIO, Final, cast
from urllib.parse import quote

from pytest_orchestrator.core.files import READ_FILE
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.reports.html.render import NAME as REPORT
from pytest_orchestrator.runs.folder import RunFile, RunFiles
from pytest_orchestrator.runs.lookup import NoRun

if TYPE_CHECKING:
    from flask import Response

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
