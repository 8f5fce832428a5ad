"""The files of a run, as a page links to them or has them in itself."""

import base64
from pathlib import Path
from typing import Final
from urllib.parse import quote

from pytest_orchestrator.runs.folder import RunFile, RunFiles

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
