"""Authentication of the monitor: tokens, cookies, and read-only requests but for a few.

A monitor has one token. A station has two: one shows it, the other operates it.

The server accepts a request only if its header `Host` has an allowed name. So a page of another
site cannot reach it through a host name that resolves to this machine (DNS rebinding).
"""

import hmac
import re
from collections.abc import Collection
from contextlib import suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from flask import Flask, Response
    from werkzeug.wrappers import Response as BaseResponse

ANY_ADDRESS: Final = "*"
"""Among the allowed hosts: each IP address, under which no page of another site can reach us."""
COOKIE: Final = "orchestrator_monitor"
OPERATING_COOKIE: Final = "orchestrator_station"
WRITABLE: Final = "/operator/answer"
"""The only path of a monitor that accepts POST: the operator's answer to a question of a step."""
ACTIONS: Final = ("start", "abort", "next", "repeat")
"""Actions of a station; each is a path below `STATION` that accepts POST."""
STATION: Final = "/station"

_FORM: Final = "application/x-www-form-urlencoded"
_PORT: Final = re.compile(r":\d+\Z")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
}
"""Headers of all responses that do not set them."""


def require_token(
    server: "Flask", token: str, hosts: Collection[str], operating: str | None = None
) -> None:
    """Make a web application refuse requests that would write or that lack the token.

    Args:
        server: The web application.
        token: The access token of the printed link.
        hosts: Allowed values of the header `Host`, without a port; with `ANY_ADDRESS`, each IP
            address, too.
        operating: The token that a request that writes needs; None if `token` is enough.
    """
    server.config[OPERATING_COOKIE] = operating
    writable = {WRITABLE}
    if operating is not None:
        writable |= {f"{STATION}/{action}" for action in ACTIONS}

    @server.before_request
    def check_request() -> "BaseResponse | None":
        return _refuse(hosts, writable) or _authenticate(token, operating)

    @server.after_request
    def add_security_headers(response: "Response") -> "Response":
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if response.mimetype in ("text/html", "application/json", "text/plain"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def is_operator() -> bool:
    """Return True if the present request may operate the station; in a monitor, always."""
    from flask import current_app, request

    operating = current_app.config[OPERATING_COOKIE]
    name = _cookie(OPERATING_COOKIE)
    return operating is None or _is_equal(request.cookies.get(name, ""), operating)


def _refuse(hosts: Collection[str], writable: Collection[str]) -> "Response | None":
    """Return an error response for a request that no page of this server sends, else None."""
    from flask import request

    if not _is_allowed(_PORT.sub("", request.host.lower()), hosts):
        return _plain_text(421, "the host name is not allowed")
    is_answer = request.method == "POST" and request.path in writable
    if request.method not in ("GET", "HEAD") and not is_answer:
        return _plain_text(405, "the monitor is read-only")
    origin = request.headers.get("Origin", "" if is_answer else None)
    if origin is not None and origin.partition("://")[2] != request.host:
        return _plain_text(403, "the request was sent by a page of another server")
    if is_answer and request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        return _plain_text(403, "the request was sent by a page of another server")
    if is_answer and request.mimetype != _FORM:
        return _plain_text(415, f"an answer is a form of type {_FORM}")
    return None


def _is_allowed(host: str, hosts: Collection[str]) -> bool:
    if host in hosts or ANY_ADDRESS not in hosts:
        return host in hosts
    with suppress(ValueError):
        return bool(ip_address(host.removeprefix("[").removesuffix("]")))
    return False


def _authenticate(token: str, operating: str | None) -> "BaseResponse | None":
    """Check the token of a request; return a redirect or an error, None for a valid cookie.

    The redirect stores the valid token of a link in the cookie.
    """
    from flask import redirect, request

    sent = request.args.get("token")
    if sent is not None and request.method == "GET" and _is_equal(sent, token):
        rest = [pair for pair in request.args.items(multi=True) if pair[0] != "token"]
        response = redirect(request.path + (f"?{urlencode(rest)}" if rest else ""))
        # All ports of a host share their cookies, so the name of the cookie contains the port.
        response.set_cookie(_cookie(), token, httponly=True, samesite="Lax", path="/")
        return response
    if sent is not None and request.method == "GET" and operating and _is_equal(sent, operating):
        return _operating(token, operating)
    if _is_equal(request.cookies.get(_cookie(), ""), token):
        if request.method != "POST" or is_operator():
            return None
        return _plain_text(403, "this link only shows the station")
    return _plain_text(
        403, "open the link that the monitor has printed: it contains the access token"
    )


def _operating(token: str, operating: str) -> "Response":
    """Return the page that stores both tokens of a station and opens the operator page.

    It is no redirect: a browser that comes from elsewhere sends no strict cookie with one.
    """
    from flask import Response

    meta = '<meta http-equiv="refresh" content="0; url=/operator">'
    page = f'<!doctype html><title>Station</title>{meta}<a href="/operator">Station</a>'
    response = Response(page, mimetype="text/html")
    response.set_cookie(_cookie(), token, httponly=True, samesite="Lax", path="/")
    name = _cookie(OPERATING_COOKIE)
    response.set_cookie(name, operating, httponly=True, samesite="Strict", path="/")
    return response


def _cookie(name: str = COOKIE) -> str:
    from flask import request

    port = request.host.rpartition(":")[2]
    return f"{name}_{port}" if port.isdigit() else name


def _plain_text(status: int, text: str) -> "Response":
    from flask import Response

    return Response(f"{text}\n", status, mimetype="text/plain")


def _is_equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
