"""Lease of the operator page: a file in the folder of the runs says that a page is connected.

The monitor renews the file while a browser shows its operator page. A session that finds no valid
lease knows that no person would see a question. The file holds a time of the clock that all
processes of a machine share, so that no setting of the wall clock extends a lease.
"""

import contextlib
import time
from pathlib import Path
from typing import Final

from pytest_orchestrator.core.files import content, replacing

FILE: Final = ".operator-page"
SECONDS: Final = 5.0
"""Seconds for which a page counts as connected after the last renewal of its lease."""

GRACE: Final = 30.0
"""Seconds without a page after which an open question gets no answer; a reload takes about one."""

STATION_GRACE: Final = 60.0
"""Seconds without a station after which its session ends; a station started in time takes it over.
"""

_MAX_BYTES: Final = 64


def seconds_since_page(base: Path) -> float:
    """Return the seconds since an operator page was connected; infinite if none has been.

    Args:
        base: The folder of the runs.
    """
    try:
        renewed = float(content(base / FILE, _MAX_BYTES))
    except (OSError, ValueError):
        return float("inf")
    seconds = time.monotonic() - renewed
    return seconds if seconds >= 0 else float("inf")  # of an earlier start of the machine


def has_page(base: Path) -> bool:
    """Return True if an operator page is connected to the runs of a folder."""
    return seconds_since_page(base) < SECONDS


def renew(base: Path) -> None:
    """Note that an operator page is connected; errors of the file system are ignored.

    Args:
        base: The folder of the runs; created if the project has no run yet, so that a question of
            its first run finds the page.
    """
    with contextlib.suppress(OSError):
        base.mkdir(parents=True, exist_ok=True)
        with replacing(base / FILE, 0o600) as file:
            file.write(repr(time.monotonic()).encode())
