"""Polite end of a monitor: every open page gets the last state before the server is gone."""

import secrets
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from flask import Flask

KEY: Final = "orchestrator-ending"
"""Key of the object in the extensions of the web application."""

SEEN: Final = "/seen"
"""URL below which a page confirms that it shows the last state."""

_LOOK: Final = 0.05


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
            time.sleep(_LOOK)


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
