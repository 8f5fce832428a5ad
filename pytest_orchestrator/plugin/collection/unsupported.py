"""Collector that reports each recipe as an error on systems that cannot run recipes."""

import sys
from collections.abc import Iterator

import pytest

HERE = sys.platform != "win32"
"""True if this system can run recipes: supervision and file locks need POSIX."""
WHERE = "recipes run on Linux and macOS, on Windows in WSL"


class UnrunnableFile(pytest.File):
    """Collector of a recipe on a system that cannot run recipes."""

    def collect(self) -> Iterator[pytest.Item]:
        """Raise the error that names the systems on which recipes run.

        Raises:
            CollectError: Always.
        """
        raise self.CollectError(
            f"{self.nodeid}: {WHERE}; to leave them out here: --ignore={self.nodeid}"
        )
