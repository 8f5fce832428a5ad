"""Old runs taken away: the newest stay, and every one that goes on."""

import shutil
from pathlib import Path

from pytest_orchestrator.run import runs
from pytest_orchestrator.run.journal import NAME, is_written


def prunable(base: Path, keep: int) -> list[Path]:
    """Return the folders of the runs that may go, the newest first.

    Args:
        base: The folder of the runs.
        keep: How many stay; 0 keeps all.
    """
    old = runs.all_of(base)[keep:] if keep else []
    return [path for path in old if not is_written(path / NAME)]


def prune(base: Path, keep: int) -> list[Path]:
    """Take old runs away.

    Args:
        base: The folder of the runs.
        keep: How many stay; 0 keeps all.

    Returns:
        The folders that are gone.
    """
    gone = []
    for path in prunable(base, keep):
        shutil.rmtree(path, ignore_errors=True)
        if not path.exists():
            gone.append(path)
    return gone
