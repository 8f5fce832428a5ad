"""Requests to addresses of other systems: their checks, their display, and a hard time limit.

An address may contain a secret in its user, its path or its query, so messages show only scheme,
host and port.
"""

import threading
from collections.abc import Callable
from typing import Final, TypeVar
from urllib.parse import unquote, urlsplit

from pytest_orchestrator.addons.exports import ExportError
from pytest_orchestrator.rendering import LEAST, cut, shown

T = TypeVar("T")

_SCHEMES: Final = ("http", "https")
_MOST: Final = 200
_LONG_PATH: Final = 20
"""Characters from which a path may have a token; a short one would be masked in other texts."""


def check_address(address: str) -> None:
    """Check that an address can be requested.

    Raises:
        ExportError: It is no address of a web server; the text begins with the address, if it
            cannot contain a secret.
    """
    try:
        parts = urlsplit(address)
        is_web = parts.scheme in _SCHEMES and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_web = False
    if not is_web or not address.isprintable() or " " in address:
        shown_text = cut(address, _MOST) if "//" not in address else "the value"
        raise ExportError(
            f"{shown_text} is no address of a web server; write http://HOST:PORT or https://HOST"
        )


def shown_address(address: str) -> str:
    """Return scheme, host and port of an address, for messages; ``…`` stands for the rest."""
    try:
        parts = urlsplit(address)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "…"
    rest = "/…" if parts.path.strip("/") or parts.query else ""
    return shown(f"{parts.scheme}://{parts.hostname}{port}{rest}")


def secrets_of(address: str) -> list[str]:
    """Return the texts in an address that may be secret: password, query, a long path, and all.

    An address of only scheme, host and port has none, and other texts may well have it too.
    """
    if shown_address(address) == address.rstrip("/"):
        return []
    parts = urlsplit(address)
    pieces = [(unquote(parts.password or ""), LEAST), (parts.password or "", LEAST)]
    pieces += [(parts.query, LEAST), (parts.path, _LONG_PATH)]
    texts = [address, *(text for text, least in pieces if len(text) >= least)]
    return [*dict.fromkeys(texts)]


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return the result of a call that may hang.

    The call runs in a daemon thread, which is left behind if it takes too long: a time limit of a
    socket bounds each of its reads, but not their number.

    Args:
        seconds: Maximum duration of the call.
        call: The function.

    Raises:
        TimeoutError: The call took longer.
        BaseException: The exception of the call.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - raised in the other thread
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"no answer within {seconds:g} s")
    return results[0]
