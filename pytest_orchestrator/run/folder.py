"""The folder of one run, and those of the runs before it."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_orchestrator.run.journal import NAME, Journal, is_written

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.model import Recipe

_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
_LATEST = "latest"


def new_id() -> str:
    """Return the id of a run that begins now, such as ``20261125T101502Z-7f3a``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{os.urandom(2).hex()}"


def free_id(base: Path) -> str:
    """Return an id that no run of a project has so far.

    Args:
        base: The folder of the runs.
    """
    found = new_id()
    while (base / found).exists():
        found = new_id()
    return found


def is_run(path: Path) -> bool:
    """Tell by its name whether a folder is that of a run."""
    return _ID.fullmatch(path.name) is not None


class RunFolder:
    """The folder of one run.

    Attributes:
        path: The folder; it is made by `open`.
    """

    def __init__(self, base: Path, run: str) -> None:
        self._base = base
        self.path = base / run

    def open(self, keep: int, spared: str | None = None) -> Journal:
        """Make the folder, let ``latest`` point to it, and take the oldest runs away.

        Args:
            keep: Number of runs that stay, this one and those that go on among them; 0
                keeps all.
            spared: Id of a run that stays in any case, since this one goes on from it.

        Returns:
            Its journal.

        Raises:
            OSError: It cannot be made, or is that of another session.
            JournalError: The journal cannot be made.
        """
        self._base.mkdir(parents=True, exist_ok=True)
        with _alone(self._base):
            self.path.mkdir()
            journal = Journal(self.path / NAME)
        ignored = self._base.parent / ".gitignore"
        if self._base.parent.name == ".orchestrator" and not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
        self._point_to()
        if keep:
            self._prune(keep, spared)
        return journal

    def logs(self, recipe: "Recipe") -> Path:
        """Return the folder for the output of a recipe's steps."""
        return self.path.joinpath("logs", *_parts(recipe))

    def resources(self, recipe: "Recipe") -> Path:
        """Return the folder for what the steps of a recipe used as they went on."""
        return self.path.joinpath("resources", *_parts(recipe))

    def artifacts(self, recipe: "Recipe") -> Path:
        """Return the folder for the files that the steps of a recipe left."""
        return self.path.joinpath("artifacts", *_parts(recipe))

    def _point_to(self) -> None:
        """Set the link in one step: whoever follows it finds one run or the other."""
        fresh = self._base / f".{_LATEST}.{os.getpid()}"
        with contextlib.suppress(OSError):
            fresh.symlink_to(self.path.name)
            fresh.replace(self._base / _LATEST)

    def _prune(self, keep: int, spared: str | None) -> None:
        own, all_runs = self.path.name, filter(is_run, self._base.iterdir())
        # Those with a later id are older nevertheless: the clock was set back.
        runs = sorted(all_runs, key=lambda path: (path.name <= own, path.name))
        for path in (path for path in runs[:-keep] if path.name != spared):
            with _alone(self._base):  # else a folder may be so new that it has no journal yet
                goes_on = is_written(path / NAME)
            if not goes_on:
                shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def _alone(base: Path) -> Iterator[None]:
    """Let no other session begin a run meanwhile, where the file system can do that."""
    try:
        import fcntl
    except ImportError:  # of Windows, where runs are read and none begins
        yield
        return
    fd = os.open(base, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def parts(path: str, cell: str | None = None) -> tuple[str, ...]:
    """Return the parts of the path of what a recipe leaves: a short one for what everybody has.

    Args:
        path: The path of the recipe, relative to the rootdir.
        cell: The id of the cell of its matrix.
    """
    way = PurePosixPath(path.strip("/"))
    below = (cell.replace(":", "="),) if cell else ()
    if way.parts[0] == "recipes" and way.suffix == ".yaml":
        return (*way.with_suffix("").parts[1:], *below)
    return (*way.parts, *below)  # the whole path of what may be a twin


def _parts(recipe: "Recipe") -> tuple[str, ...]:
    return parts(recipe.id, recipe.cell.id if recipe.cell else None)
