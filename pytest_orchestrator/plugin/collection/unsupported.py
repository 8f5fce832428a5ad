"""Recipes on a system that cannot run them: a collection error for each."""

import sys
from collections.abc import Iterator

import pytest

HERE = sys.platform != "win32"
"""This system can run recipes: it has what ends the processes of steps, and locks of files."""
WHERE = "recipes run on Linux and macOS, on Windows in WSL"


class UnrunnableFile(pytest.File):
    """A recipe that cannot be run."""

    def collect(self) -> Iterator[pytest.Item]:
        """Say so.

        Raises:
            CollectError: Always.
        """
        raise self.CollectError(
            f"{self.nodeid}: {WHERE}; to leave them out here: --ignore={self.nodeid}"
        )
