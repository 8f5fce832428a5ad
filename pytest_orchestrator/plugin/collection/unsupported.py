"""Recipes on a system that cannot run them: a collection error for each."""

import sys
from collections.abc import Iterator

import pytest

HERE = sys.platform != "win32"
"""True if this system can run recipes: supervision and file locks need POSIX."""
WHERE = "recipes run on Linux and macOS, on Windows in WSL"


class UnrunnableFile(pytest.File):
    """A recipe that cannot be run."""

    def collect(self) -> Iterator[pytest.Item]:
        """Raise the error that names the systems on which recipes run.

        Raises:
            CollectError: Always.
        """
        raise self.CollectError(
            f"{self.nodeid}: {WHERE}; to leave them out here: --ignore={self.nodeid}"
        )
