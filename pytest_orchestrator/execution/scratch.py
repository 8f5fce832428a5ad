"""The folder of a try on a worker."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def scratch(within: str | None) -> Iterator[Path]:
    """Have an empty folder while a block runs.

    Args:
        within: Where it is made; None is where temporary files are.
    """
    folder = tempfile.mkdtemp(prefix="orchestrator-", dir=within)
    try:
        yield Path(folder)
    finally:
        try:  # a few logs, mostly
            for file in os.listdir(folder):
                os.unlink(os.path.join(folder, file))
            os.rmdir(folder)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
