"""Connections of a worker's process to a session, kept from one try to the next.

To connect takes turns over the network, a thread of the session, and where it is encrypted some
milliseconds of CPU time. Each request shows a token, so a connection belongs to no try.
"""

import threading
import time
from typing import Final

from pytest_orchestrator.remote.client import RemoteContext

IDLE: Final = 10.0
"""Seconds for which one is kept that nobody uses: what lies between may forget it."""


class Connections:
    """Those of one process to one session that nobody uses just now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[tuple[float, RemoteContext]] = []
        self._is_over = False

    def take(self, token: str) -> RemoteContext | None:
        """Return one that shows a token from now on; None where there is none."""
        with self._lock:
            if not self._free:
                return None
            _, link = self._free.pop()
        link.show(token)
        return link

    def keep(self, link: RemoteContext) -> None:
        """Keep one, all of whose requests were answered, for whoever comes next."""
        with self._lock:
            if not self._is_over:
                self._free.append((time.monotonic(), link))
                return
        link.close()

    def tidy(self) -> None:
        """Close those that nobody has used for some time."""
        until = time.monotonic() - IDLE
        with self._lock:
            old = [link for since, link in self._free if since < until]
            self._free = [one for one in self._free if one[0] >= until]
        for link in old:
            link.close()

    def close(self) -> None:
        """Close all of them, and each that is to be kept from now on."""
        with self._lock:
            self._is_over = True
            free, self._free = self._free, []
        for _, link in free:
            link.close()
