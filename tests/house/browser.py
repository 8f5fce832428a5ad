"""A real browser without a network, for what people look at."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]


class Opened:
    """A page in the browser, and what went wrong with it."""

    def __init__(self, browser: Browser, file: Path, scheme: str, width: int, *, js: bool) -> None:
        theme: Literal["light", "dark"] = "dark" if scheme == "dark" else "light"
        self._context = browser.new_context(
            color_scheme=theme,
            viewport={"width": width, "height": 900},
            offline=True,
            java_script_enabled=js,
        )
        self.page: Page = self._context.new_page()
        self.errors: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda told: self.errors.append(told.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.resolve().as_uri())

    @property
    def is_too_wide(self) -> bool:
        """Tell whether the page is to be scrolled sideways."""
        wide: bool = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wide

    def close(self) -> None:
        """Forget the page."""
        self._context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a Chromium, and end it."""
    script = ROOT / "scripts" / "browser"
    path = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    with sync_playwright() as playwright:
        # As root, which CI is, its sandbox cannot be made; it opens files of ours alone.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()
