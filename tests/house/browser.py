"""Chromium without a network, for tests of HTML pages."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Literal

from playwright.sync_api import Browser, Page, sync_playwright

ROOT = Path(__file__).parents[2]


class Opened:
    """A page in the browser, with its errors and its requests."""

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
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", lambda dialog: self.errors.append(f"dialog {dialog.message}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(file.resolve().as_uri())

    @property
    def is_too_wide(self) -> bool:
        """Return True if the page is wider than the window."""
        wide: bool = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        return wide

    def close(self) -> None:
        """Close the page and its browser context."""
        self._context.close()


@contextmanager
def browser() -> Iterator[Browser]:
    """Start a Chromium, and end it afterwards."""
    script = ROOT / "scripts" / "browser"
    path = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    with sync_playwright() as playwright:
        # CI runs as root, where Chromium's sandbox fails; only files of this project are opened.
        started = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield started
        started.close()


_FINDINGS = """async () => {
  for (const one of document.querySelectorAll("details")) one.open = true;
  const found = await axe.run();
  return found.violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 120))]);
}"""


@cache
def _axe() -> str:
    script = ROOT / "scripts" / "axe"
    path = subprocess.run([script], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    return Path(path).read_text(encoding="utf-8")


def axe_findings(page: Page) -> list[Any]:
    """Return the findings of axe-core on a page, with all its details open."""
    page.evaluate(_axe())
    found: list[Any] = page.evaluate(_FINDINGS)
    return found
