"""Size budget of a page, and the files that it links or embeds."""

import base64
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from pytest_orchestrator.runs.folder import RunFile, RunFiles

_LOGS: Final = 800_000
_FAILED_LOGS: Final = 500_000
_TEXTS: Final = 500_000
_POINTS: Final = 30_000
_CHANGES: Final = 6_000
_VALUES: Final = 600_000


class Room(NamedTuple):
    """What each step may take of a page.

    Attributes:
        log: Bytes of the end of a log.
        failed_log: The same of a step that failed.
        text: Characters of what pytest tells of a failure.
        points: Points of its curves.
        changes: Changes that are listed of a key of the Context.
        value: Characters of a value.
    """

    log: int
    failed_log: int
    text: int
    points: int
    changes: int
    value: int


def room(steps: int, failed: int, keys: int, values: int) -> Room:
    """Share the room out.

    Args:
        steps: Number of the steps.
        failed: Number of those that failed.
        keys: Number of keys of the Context.
        values: Number of values that are shown: criteria, measurements, changes.
    """
    return Room(
        log=_share(_LOGS, 2 * steps, 120, 4_000),
        failed_log=_share(_FAILED_LOGS, 2 * failed, 200, 16_000),
        text=_share(_TEXTS, failed, 400, 20_000),
        points=_share(_POINTS, steps, 20, 240),
        changes=_share(_CHANGES, keys, 1, 50),
        value=_share(_VALUES, values, 40, 1_000),
    )


def _share(whole: int, parts: int, least: int, most: int) -> int:
    return max(least, min(most, whole // max(1, parts)))


_LARGEST: Final = 64 * 1024
_ALL: Final = 1024 * 1024


class Files:
    """The files of a run.

    Args:
        folder: The folder of the run.
        base: What links to files in it begin with.
    """

    def __init__(self, folder: Path, base: str) -> None:
        self._files = RunFiles(folder)
        self._base = base
        self._left = _ALL

    def at(self, file: RunFile) -> Path | None:
        """Return the path of a file; None where it is no file of the run."""
        return self._files.at(file)

    def href(self, file: RunFile) -> str:
        """Return a link to a file; empty where it is no file of the run."""
        return "" if self.at(file) is None else self._base + quote(file.told)

    def picture(self, file: RunFile, type: str) -> str:  # noqa: A002 # its name
        """Return the source of a picture: a small one is in the page, which can be sent."""
        path = self.at(file)
        if path is None:
            return ""
        try:
            size = path.stat().st_size
            if size > min(_LARGEST, self._left):
                return self.href(file)
            data = path.read_bytes()
        except OSError:
            return self.href(file)
        self._left -= len(data)
        return f"data:{type};base64,{base64.b64encode(data).decode()}"
