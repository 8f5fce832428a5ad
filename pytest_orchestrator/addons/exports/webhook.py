"""Notification of a finished run: a summary as JSON, posted to an address.

It uses the standard library alone. A redirect is not followed, so the summary goes to no other
host, and certificates of https are always verified.
"""

import base64
import http.client
import json
import time
import urllib.error
import urllib.request
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pytest_orchestrator.addons.exports import ExportError
from pytest_orchestrator.addons.exports.network import check_address, shown_address, within
from pytest_orchestrator.rendering import cut

TIMEOUT: Final = 10.0
"""Seconds that one request may wait for the other side."""
PAUSE: Final = 1.0
"""Seconds before the second request."""
SECONDS: Final = 25.0
"""Maximum duration of a notification, with both requests."""

_AGAIN: Final = frozenset({408, 425, 429, *range(500, 600)})
_SHOWN: Final = 200
_SAFE: Final = "!#$%&'()*+,/:;=?@[]~"
"""Characters of a path or query that stay; others, such as an umlaut, are percent-encoded."""


def post(address: str, document: dict[str, Any]) -> None:
    """Post a document as JSON; try once more if the other side is not ready.

    Args:
        address: An http or https address; a user and a password in it are sent as Basic
            authentication.
        document: Plain data.

    Raises:
        ExportError: The document was not accepted; the text has no secret of the address.
    """
    check_address(address)
    request = _request(address, json.dumps(document, ensure_ascii=False).encode())
    try:
        within(SECONDS, lambda: _post(request))
    except (ExportError, TimeoutError) as error:
        raise ExportError(f"{shown_address(address)}: {error}") from None


def _request(address: str, data: bytes) -> urllib.request.Request:
    import pytest_orchestrator

    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"pytest-orchestrator/{pytest_orchestrator.__version__}",
    }
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers["Authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    path, query = (quote(part, safe=_SAFE) for part in (parts.path or "/", parts.query))
    bare = urlunsplit((parts.scheme, host, path, query, ""))
    return urllib.request.Request(bare, data, headers, method="POST")  # noqa: S310 - checked


def _post(request: urllib.request.Request) -> None:
    """Send a request, and once more if its failure may be temporary.

    Raises:
        ExportError: It was not accepted.
    """
    for is_last in (False, True):
        why, is_final = _sent(request)
        if not why:
            return
        if is_last or is_final:
            raise ExportError(why)
        time.sleep(PAUSE)


def _sent(request: urllib.request.Request) -> tuple[str, bool]:
    """Send a request; return why it failed, empty if it did not, and whether that is final."""
    # Not `build_opener`: its handlers follow redirects and open files.
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    try:
        with opener.open(request, timeout=TIMEOUT):
            return "", True
    except urllib.error.HTTPError as error:
        with error:
            hint = ", a redirect, which is not followed" if 300 <= error.code < 400 else ""
            return f"it answered {error.code}{hint}", error.code not in _AGAIN
    except (OSError, http.client.HTTPException) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return f"it cannot be reached ({cut(str(reason) or type(reason).__name__, _SHOWN)})", False
