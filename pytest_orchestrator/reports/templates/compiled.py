"""Templates that were compiled once, kept beside them as Python keeps its own modules."""

import contextlib
import os
import sys
from pathlib import Path

from jinja2 import BytecodeCache
from jinja2.bccache import Bucket


class Compiled(BytecodeCache):
    """Keeps them in a folder; where it cannot be written they are compiled each time.

    Args:
        folder: The folder, which is made.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a template, unless it was compiled by another version or of another text."""
        with contextlib.suppress(OSError), self._path(bucket).open("rb") as file:
            bucket.load_bytecode(file)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template, if Python may keep its modules."""
        if sys.dont_write_bytecode:
            return
        path = self._path(bucket)
        fresh = path.with_name(f"{path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):
            self._folder.mkdir(exist_ok=True)
            with fresh.open("wb") as file:
                bucket.write_bytecode(file)
            fresh.replace(path)

    def _path(self, bucket: Bucket) -> Path:
        version = sys.implementation.cache_tag or "python"
        return self._folder / f"{bucket.key}.{version}.jinja"
