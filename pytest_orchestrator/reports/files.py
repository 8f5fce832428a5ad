"""The files of a run, as a page links to them or has them in itself."""

import base64
from pathlib import Path
from typing import Final
from urllib.parse import quote

_LARGEST: Final = 64 * 1024
_ALL: Final = 1024 * 1024


class Files:
    """The files of a run.

    Attributes:
        folder: The folder of the run.

    Args:
        base: What links to files in it begin with.
    """

    def __init__(self, folder: Path, base: str) -> None:
        self.folder = folder
        self._base = base
        self._left = _ALL

    def href(self, path: str) -> str:
        """Return a link to a file in the folder of the run."""
        return self._base + quote(path)

    def picture(self, path: str, type: str) -> str:  # noqa: A002 # its name
        """Return what a picture is read from: a small one is in the page, which can be sent."""
        try:
            size = self.folder.joinpath(path).stat().st_size
            if size > min(_LARGEST, self._left):
                return self.href(path)
            data = self.folder.joinpath(path).read_bytes()
        except OSError:
            return self.href(path)
        self._left -= len(data)
        return f"data:{type};base64,{base64.b64encode(data).decode()}"
