"""A monitor served by this process, and a browser that shows it."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

TOKEN = "token-of-the-tests"
_TIMEOUT_MS = 60_000
"""Timeout in milliseconds; some machines are ten times as slow as others."""

expect.set_options(timeout=_TIMEOUT_MS)

# Records the times of the page's requests and of the first appearance of texts, by its clock.
_RECORDER = """
texts => {
  const noted = (window.noted = { asked: [], there: {} });
  const ask = window.fetch;
  window.fetch = (...words) => {
    const { output, changedPropIds } = JSON.parse(words[1]?.body ?? "{}");
    if (output?.includes("bar.children") && changedPropIds.includes("tick.data"))
      noted.asked.push(Date.now() / 1000);
    return ask(...words);
  };
  const look = () => {
    for (const [selector, text] of texts)
      for (const found of document.querySelectorAll(selector))
        if (found.innerText.includes(text)) noted.there[selector] ??= Date.now() / 1000;
  };
  const everything = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(document.body, everything);
}
"""


class Monitor:
    """Monitor of a folder of runs with a browser that shows it.

    Attributes:
        errors: Errors in the browser, and its requests to other servers.
        late: Delay of each reply of the server, in seconds.
    """

    def __init__(
        self, base: Path, chromium: Browser, scheme: str = "light", width: int = 1440
    ) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        from pytest_orchestrator.monitor.app import application
        from pytest_orchestrator.monitor.auth import CALLBACK_PATH

        class Quiet(WSGIRequestHandler):
            def log_request(self, *_: object) -> None:
                pass

        self.errors: list[str] = []
        self.late = 0.0
        server = application(base, TOKEN, {"127.0.0.1"})

        def delayed_app(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            if self.late and environ["PATH_INFO"] == CALLBACK_PATH:
                time.sleep(self.late)  # the delay is the subject of the test
            return server(environ, start)

        self._web = make_server("127.0.0.1", 0, delayed_app, threaded=True, request_handler=Quiet)
        threading.Thread(target=self._web.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._web.port}"
        self._context = chromium.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(_TIMEOUT_MS)
        self.page.on("console", self._record_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._record_request)
        self.page.goto(f"{self.address}/?token={TOKEN}")

    def open(self, run: str, tab: str = "Graph") -> None:
        self.page.locator(f"#runs .link:has-text('{run}')").click()
        self.tab(tab)

    def tab(self, name: str) -> None:
        self.page.locator("#tab .tab", has_text=re.compile(f"^{name}$")).click()

    def record(self, texts: Mapping[str, str]) -> None:
        """Start to record the page's requests and the times at which it first shows texts.

        Args:
            texts: The texts by the selector of the element that will contain them.
        """
        self.page.evaluate(_RECORDER, [*texts.items()])

    def requests_until(self, selector: str, since: float) -> int:
        """Return the number of requests from a time until a recorded text appeared.

        A page sends a request each second. So the number is the delay in seconds that a machine
        without other programs would have.
        """
        recorded = self.page.evaluate("noted")
        appeared = recorded["there"][selector]
        return sum(since <= request <= appeared for request in recorded["asked"])

    def close(self) -> None:
        self._context.close()
        self._web.shutdown()
        self._web.server_close()

    def _record_console(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _record_request(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.errors.append(request.url)
