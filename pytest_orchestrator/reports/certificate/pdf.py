"""PDF of a page by a headless Chromium."""

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


class NoPdf(Exception):
    """Error: no PDF could be made; the text says why and how to cure it."""


def browser_path() -> str:
    """Return the path of a Chromium, Chrome or Edge.

    Raises:
        NoPdf: There is none, or the environment variable names none.
    """
    named = os.environ.get(VARIABLE, "")
    if named:
        found = shutil.which(named)
        if found is None:
            raise NoPdf(f"no PDF: ${VARIABLE} is {named}, which is no program")
        return found
    candidates = (shutil.which(one) for one in (*_NAMES, *_APPLICATIONS))
    path = next((one for one in candidates if one), None)
    if path is None:
        raise NoPdf(
            "no PDF: there is no Chromium, Chrome or Edge; install the package chromium, or set "
            f"${VARIABLE} to the path of one, or print the page with any browser"
        )
    return path


def write_pdf(page: Path, file: Path) -> None:
    """Print a page to a PDF file.

    Args:
        page: The HTML page.
        file: The file to write.

    Raises:
        NoPdf: There is no browser, or it cannot make the file.
        OSError: The file cannot be written.
    """
    path = browser_path()
    with tempfile.TemporaryDirectory(prefix="orchestrator-pdf-") as folder:
        made = Path(folder, "page.pdf")
        options = [
            "--headless",
            "--disable-gpu",
            "--disable-background-networking",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--no-pdf-header-footer",
            f"--user-data-dir={folder}/profile",
            f"--print-to-pdf={made}",
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            options.append("--no-sandbox")  # as root it does not start otherwise
        error = _run([path, *options, page.resolve().as_uri()])
        if not made.is_file() or not made.stat().st_size:
            raise NoPdf(f"no PDF: {path} made none{f': {error}' if error else ''}")
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
