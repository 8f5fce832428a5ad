"""Authentication of the monitor: token, cookie, read-only requests.

The server answers only to the names that it was given, so that no page of somebody else can
reach it through a name that leads here (DNS rebinding).
"""

import hmac
import re
from collections.abc import Collection
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

if TYPE_CHECKING:
    from flask import Flask, Response

COOKIE: Final = "orchestrator_monitor"
ASKED: Final = "/_dash-update-component"
"""The one path that is asked by POST: what a page shows comes from there."""

_PORT: Final = re.compile(r":\d+\Z")
_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_POLICY: Final = (
    "default-src 'self'; script-src 'self' {}; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def require_token(
    server: "Flask", token: str, hosts: Collection[str], scripts: Collection[str]
) -> None:
    """Let in who has the token, and let nobody do anything but look.

    Args:
        server: The web application.
        token: What the printed link has.
        hosts: Names and addresses, without a port, by which it may be asked.
        scripts: Hashes of the scripts that stand in the page itself, in quotes.
    """
    policy = _POLICY.format(" ".join(scripts))

    @server.before_request
    def look_at_who_asks() -> "Response | None":
        return _refusal(hosts) or _let_in(token)

    @server.after_request
    def say_what_browsers_may_do(response: "Response") -> "Response":
        response.headers.update(_HEADERS)
        response.headers["Content-Security-Policy"] = policy
        if response.mimetype in ("text/html", "application/json", "text/plain"):
            response.headers["Cache-Control"] = "no-store"
        return response


def _refusal(hosts: Collection[str]) -> "Response | None":
    """Refuse what no page of this server would send."""
    from flask import request

    if _PORT.sub("", request.host.lower()) not in hosts:
        return _told(421, "this server does not answer to that name")
    if request.method not in ("GET", "HEAD", "POST"):
        return _told(405, "there is nothing to change here")
    if request.method == "POST" and request.path != ASKED:
        return _told(405, "there is nothing to change here")
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        return _told(403, "a page of another server has sent this")
    return None


def _let_in(token: str) -> "Response | None":
    """Take the token from the link into a cookie, and look for it."""
    from flask import redirect, request

    given = request.args.get("token")
    if given is not None and request.method == "GET" and _is_equal(given, token):
        rest = [pair for pair in request.args.items(multi=True) if pair[0] != "token"]
        response = redirect(request.path + (f"?{urlencode(rest)}" if rest else ""))
        # Ports of one host share their cookies, so each server has its own.
        response.set_cookie(_cookie(), token, httponly=True, samesite="Lax", path="/")
        return response
    if _is_equal(request.cookies.get(_cookie(), ""), token):
        return None
    return _told(403, "open the link that the monitor has printed: it has a token in it")


def _cookie() -> str:
    from flask import request

    port = request.host.rpartition(":")[2]
    return f"{COOKIE}_{port}" if port.isdigit() else COOKIE


def _told(status: int, text: str) -> "Response":
    from flask import Response

    return Response(f"{text}\n", status, mimetype="text/plain")


def _is_equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
