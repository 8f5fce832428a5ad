"""PDF of a page, and PNG of a picture, by a headless Chromium."""

import math
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

VARIABLE: Final = "CHROME"
"""Environment variable with the path of the browser."""

_NAMES: Final = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "microsoft-edge",
    "msedge",
    "brave-browser",
)
_APPLICATIONS: Final = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_SECONDS: Final = 120
_LARGEST: Final = 16_000
"""Largest side of a picture in pixels; Chromium draws none that is larger."""


class BrowserError(Exception):
    """Error: the browser could not make a file; the text says why and how to cure it."""


def browser_path(kind: str = "PDF") -> str:
    """Return the path of a Chromium, Chrome or Edge.

    Args:
        kind: PDF or PNG, for the error.

    Raises:
        BrowserError: There is none, or the environment variable names none.
    """
    named = os.environ.get(VARIABLE, "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise BrowserError(f"no {kind}: ${VARIABLE} is {named}, which is no program")
        return found
    candidates = (shutil.which(one) for one in (*_NAMES, *_APPLICATIONS))
    path = next((one for one in candidates if one), None)
    if path is None:
        other = "print the page with any browser" if kind == "PDF" else "write an .svg"
        raise BrowserError(
            f"no {kind}: there is no Chromium, Chrome or Edge; install the package chromium, or "
            f"set ${VARIABLE} to the path of one, or {other}"
        )
    return path


def write_pdf(page: Path, file: Path) -> None:
    """Print a page to a PDF file.

    Args:
        page: The HTML page.
        file: The file to write.

    Raises:
        BrowserError: There is no browser, or it cannot make the file.
        OSError: The file cannot be written.
    """
    _make("PDF", file, page, "--no-pdf-header-footer", "--print-to-pdf={}")


def write_png(svg: str, file: Path) -> None:
    """Draw an SVG picture as a PNG file, with two pixels for each of its units.

    Args:
        svg: The picture; its first tag has ``width`` and ``height``.
        file: The file to write.

    Raises:
        BrowserError: There is no browser, or it cannot make the file.
        OSError: The file cannot be written.
    """
    head = svg[: svg.index(">")]
    width, height = (
        math.ceil(float(head.partition(f' {name}="')[2].partition('"')[0]))
        for name in ("width", "height")
    )
    scale = 2 if max(width, height) <= _LARGEST / 2 else 1
    with tempfile.TemporaryDirectory(prefix="orchestrator-png-") as folder:
        picture = Path(folder, "picture.svg")
        picture.write_text(svg, encoding="utf-8")
        size = (f"--window-size={width},{height}", f"--force-device-scale-factor={scale}")
        _make("PNG", file, picture, "--hide-scrollbars", *size, "--screenshot={}")


def _make(kind: str, file: Path, page: Path, *options: str) -> None:
    """Write a file that the browser makes of a page; ``{}`` in an option is its path."""
    path = browser_path(kind)
    with tempfile.TemporaryDirectory(prefix=f"orchestrator-{kind.lower()}-") as folder:
        made = Path(folder, f"made.{kind.lower()}")
        command = [
            path,
            "--headless",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            f"--user-data-dir={folder}/profile",
            *(one.replace("{}", str(made)) for one in options),
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--no-sandbox")  # as root it does not start otherwise
        error = _run([*command, page.resolve().as_uri()])
        if not made.is_file() or not made.stat().st_size:
            raise BrowserError(f"no {kind}: {path} made none{f': {error}' if error else ''}")
        shutil.copyfile(made, file)


def _run(command: list[str]) -> str:
    """Run the browser; return the last line of its errors, or why it ended."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {_SECONDS} s"
    except OSError as error:
        return str(error.strerror)
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}" * bool(done.returncode)
