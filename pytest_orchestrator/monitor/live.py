"""Server-sent events, which say that a page has changed, so that it requests itself again.

At the end of a monitor every open page gets the last state before the server is gone.
"""

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from pytest_orchestrator.runs.lookup import NoRun

if TYPE_CHECKING:
    from flask import Flask, Response


KEY: Final = "orchestrator-ending"
"""Key of the object in the extensions of the web application."""

SEEN: Final = "/seen"
"""URL below which a page confirms that it shows the last state."""

_LOOK_EVERY: Final = 0.05  # seconds; the whole wait takes two at most


class Ending:
    """End of a monitor, and the pages that have not confirmed their last state. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._streams = 0
        self._unconfirmed: set[str] = set()
        self.has_begun = False

    def opened(self) -> None:
        """Note that a page has opened its stream of changes."""
        with self._lock:
            self._streams += 1

    def closed(self) -> None:
        """Note that the stream of a page has ended."""
        with self._lock:
            self._streams -= 1

    def key(self) -> str:
        """Return a new key by which a page confirms that it shows the last state."""
        key = secrets.token_urlsafe(8)
        with self._lock:
            self._unconfirmed.add(key)
        return key

    def confirm(self, key: str) -> None:
        """Note that a page shows the last state."""
        with self._lock:
            self._unconfirmed.discard(key)

    def wait(self, seconds: float) -> None:
        """Begin the end, and wait until all pages show the last state.

        Args:
            seconds: Longest time; the page of a browser that sleeps never confirms.
        """
        self.has_begun = True
        deadline = time.monotonic() + seconds
        while (self._streams or self._unconfirmed) and time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY)


def ending_of(server: "Flask") -> Ending:
    """Return the end of the monitor of a web application."""
    found: Ending = server.extensions.setdefault(KEY, Ending())
    return found


def add_confirmation(server: "Flask") -> None:
    """Add the URL by which a page confirms that it shows the last state."""
    ending = ending_of(server)

    @server.get(f"{SEEN}/<key>")
    def confirm(key: str) -> tuple[str, int]:
        ending.confirm(key)
        return "", 204


_LOOK: Final = 0.2
"""Seconds between two looks at the journal."""
_BEAT: Final = 2.0
"""Seconds after which a page hears from the monitor even if nothing changed."""
STAY: Final = 10.0
"""Seconds for which a stream stays open after the last version, as the monitor may end then."""


def events(version: Callable[[], tuple[str, bool]]) -> "Response":
    """Return the response that sends the version of a page whenever it changes.

    Args:
        version: Function that returns the present version, and True if it is the last one.
    """
    from flask import Response, current_app

    ending = ending_of(current_app)
    response = Response(_lines(version, ending), mimetype="text/event-stream")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Accel-Buffering"] = "no"  # a proxy would hold events back
    return response


def _lines(version: Callable[[], tuple[str, bool]], ending: Ending) -> Iterator[str]:
    ending.opened()
    try:
        yield from _changes(version, ending)
    finally:
        ending.closed()


def _changes(version: Callable[[], tuple[str, bool]], ending: Ending) -> Iterator[str]:
    sent, at, over = "", 0.0, 0.0
    while True:
        is_ending = ending.has_begun  # before the last look at the run
        try:
            now, is_last = version()
        except NoRun:
            yield "event: end\ndata: gone\n\n"
            return
        if now != sent:
            yield f"data: {now}\n\n"
            sent, at = now, time.monotonic()
        elif time.monotonic() - at > _BEAT:
            # A write to a closed connection ends the thread that serves it.
            yield "event: beat\ndata: 0\n\n"
            at = time.monotonic()
        if is_ending:
            yield f"event: bye\ndata: {SEEN}/{ending.key()}\n\n"
            return
        over = over or (time.monotonic() if is_last else 0.0)
        if over and time.monotonic() - over > STAY:
            yield "event: end\ndata: over\n\n"
            return
        time.sleep(_LOOK)
