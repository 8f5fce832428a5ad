"""A monitor in this process, and a browser that looks at it."""

import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect

TOKEN = "token-of-the-tests"
_PATIENCE = 60_000
"""Milliseconds: a machine may be ten times as slow as another."""

expect.set_options(timeout=_PATIENCE)

# Notes when a page asks, and when something is there for the first time, by its own clock.
_NOTE = """
wanted => {
  const noted = (window.noted = { asked: [], there: {} });
  const ask = window.fetch;
  window.fetch = (...words) => {
    const { output, changedPropIds } = JSON.parse(words[1]?.body ?? "{}");
    if (output?.includes("bar.children") && changedPropIds.includes("tick.data"))
      noted.asked.push(Date.now() / 1000);
    return ask(...words);
  };
  const look = () => {
    for (const [selector, text] of wanted)
      for (const found of document.querySelectorAll(selector))
        if (found.innerText.includes(text)) noted.there[selector] ??= Date.now() / 1000;
  };
  const everything = { childList: true, subtree: true, characterData: true };
  new MutationObserver(look).observe(document.body, everything);
}
"""


class Monitor:
    """A monitor of some runs, and a browser that looks at it.

    Attributes:
        errors: What went wrong in the browser, and what it has asked others.
        late: Seconds after which the server begins with an answer.
    """

    def __init__(
        self, base: Path, chromium: Browser, scheme: str = "light", width: int = 1440
    ) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        from pytest_orchestrator.monitor.app import application
        from pytest_orchestrator.monitor.auth import ASKED

        class Quiet(WSGIRequestHandler):
            def log_request(self, *_: object) -> None:
                pass

        self.errors: list[str] = []
        self.late = 0.0
        server = application(base, TOKEN, {"127.0.0.1"})

        def answer(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
            if self.late and environ["PATH_INFO"] == ASKED:
                time.sleep(self.late)  # it is what is tested
            return server(environ, start)

        self._web = make_server("127.0.0.1", 0, answer, threaded=True, request_handler=Quiet)
        threading.Thread(target=self._web.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._web.port}"
        self._context = chromium.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(_PATIENCE)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._look)
        self.page.goto(f"{self.address}/?token={TOKEN}")

    def open(self, run: str, tab: str = "Graph") -> None:
        self.page.locator(f"#runs .link:has-text('{run}')").click()
        self.tab(tab)

    def tab(self, name: str) -> None:
        self.page.locator("#tab .tab", has_text=re.compile(f"^{name}$")).click()

    def note(self, wanted: Mapping[str, str]) -> None:
        """Note from now on when the page of a run asks, and when it shows something first.

        Args:
            wanted: Text, by the selector of what will have it.
        """
        self.page.evaluate(_NOTE, [*wanted.items()])

    def asked(self, selector: str, since: float) -> int:
        """Return how often the page asked from a time until it had what was noted there.

        A page asks each second, so that is how long it took in seconds, were no other program
        on this machine.
        """
        noted = self.page.evaluate("noted")
        there = noted["there"][selector]
        return sum(since <= asked <= there for asked in noted["asked"])

    def close(self) -> None:
        self._context.close()
        self._web.shutdown()
        self._web.server_close()

    def _hear(self, told: Any) -> None:
        if told.type == "error":
            self.errors.append(told.text)

    def _look(self, request: Any) -> None:
        if not request.url.startswith((self.address, "data:", "blob:")):
            self.errors.append(request.url)
