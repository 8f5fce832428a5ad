"""A monitor in this process, and a browser that looks at it."""

import re
import threading
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page

TOKEN = "token-of-the-tests"


class Monitor:
    """A monitor of some runs, and a browser that looks at it."""

    def __init__(
        self, base: Path, chromium: Browser, scheme: str = "light", width: int = 1440
    ) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        from pytest_orchestrator.monitor.app import application

        class Quiet(WSGIRequestHandler):
            def log_request(self, *_: object) -> None:
                pass

        self.errors: list[str] = []
        server = application(base, TOKEN, {"127.0.0.1"})
        self._web = make_server("127.0.0.1", 0, server, threaded=True, request_handler=Quiet)
        threading.Thread(target=self._web.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self._web.port}"
        self._context = chromium.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 900},
        )
        self.page: Page = self._context.new_page()
        self.page.set_default_timeout(10_000)
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", self._look)
        self.page.goto(f"{self.address}/?token={TOKEN}")

    def open(self, run: str, tab: str = "Graph") -> None:
        self.page.locator(f"#runs .link:has-text('{run}')").click()
        self.tab(tab)

    def tab(self, name: str) -> None:
        self.page.locator("#tab .tab", has_text=re.compile(f"^{name}$")).click()

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
