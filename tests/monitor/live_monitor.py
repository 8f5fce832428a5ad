"""A monitor served by this process, and a browser that shows it."""

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, BrowserContext, Page, expect
from werkzeug.serving import WSGIRequestHandler, make_server

from pytest_orchestrator.monitor.app import application
from pytest_orchestrator.monitor.live import ending_of
from pytest_orchestrator.monitor.station.station import Station

TOKEN = "token-of-the-tests"
OPERATING = "token-that-operates"
_TIMEOUT_MS = 60_000
"""Timeout in milliseconds; some machines are ten times as slow as others."""

expect.set_options(timeout=_TIMEOUT_MS)

# Records the times of the first appearance of texts, by the clock of the page.
_RECORDER = """
texts => {
  const noted = (window.noted = {});
  const look = () => {
    for (const [selector, text] of texts)
      for (const found of document.querySelectorAll(selector))
        if (found.textContent.includes(text)) noted[selector] ??= Date.now() / 1000;
  };
  const everything = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(document.body, everything);
}
"""


class _Quiet(WSGIRequestHandler):
    def log_request(self, *_: object) -> None:
        """Log nothing."""


class Monitor:
    """Monitor of a folder of runs with a browser that shows it.

    Attributes:
        address: The URL of the server, without a path.
        page: The page of the browser, which has the cookie.
        ending: The end of the monitor; this process goes on serving it.
        errors: Errors in the browser, and its requests to other servers.
    """

    def __init__(
        self,
        base: Path,
        chromium: Browser,
        scheme: Literal["light", "dark"] = "light",
        width: int = 1400,
        station: Station | None = None,
    ) -> None:
        self._token = TOKEN if station is None else OPERATING
        self.errors: list[str] = []
        operating = OPERATING if station else None
        server = application(base, TOKEN, {"127.0.0.1"}, operating, station)
        self.ending = ending_of(server)
        self._web = make_server("127.0.0.1", 0, server, threaded=True, request_handler=_Quiet)
        threading.Thread(target=self._web.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._web.port}"
        self._chromium = chromium
        self._contexts: list[BrowserContext] = []
        self.page = self.another_page(scheme, width)

    def another_page(
        self,
        scheme: Literal["light", "dark"] = "light",
        width: int = 1400,
        height: int = 900,
        *,
        js: bool = True,
    ) -> Page:
        """Return the page of another browser that has opened the link."""
        context = self._chromium.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            java_script_enabled=js,
        )
        self._contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(_TIMEOUT_MS)
        page.on("console", self._record_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self._record_request)
        page.goto(f"{self.address}/?token={self._token}")
        return page

    def open(self, path: str) -> Page:
        """Open a path of the monitor in the first browser."""
        self.page.goto(self.address + path)
        return self.page

    def close(self) -> None:
        """Close the browsers and the server."""
        for one in self._contexts:
            one.close()
        self._web.shutdown()
        self._web.server_close()

    def _record_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _record_request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.errors.append(request.url)


def record(page: Page, texts: Mapping[str, str]) -> None:
    """Start to record the times at which a page first shows texts.

    Args:
        page: The page.
        texts: The texts by the selector of the element that will contain them.
    """
    page.evaluate(_RECORDER, [*texts.items()])
