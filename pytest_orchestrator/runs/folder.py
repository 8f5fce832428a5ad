"""Run folder: id, layout, and the files that a journal may name."""

import contextlib
import errno
import os
import re
import shutil
import stat
import time
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.files import path_of
from pytest_orchestrator.runs.journal.writer import NAME, Journal, is_written

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.model.recipe import Recipe

_ID = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{4}")
_LATEST = "latest"
_DRAFT = ".new-"
_DAY = 86_400.0


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


class RunFile:
    """A file as a journal names it, which is text until `RunFiles` says where it is.

    Attributes:
        told: The path as the journal has it; empty where that is no text.
    """

    __slots__ = ("told",)

    def __init__(self, told: object) -> None:
        self.told = told if isinstance(told, str) else ""

    def inside(self, folder: Path) -> Path | None:
        """Return the path of the file, as `RunFiles.at` does."""
        return RunFiles(folder).at(self)


class RunFiles:
    """The files of a run: the only way from a path in a journal to a file that is opened.

    A journal may come from anywhere. Only regular files inside the folder of its run are files of
    the run, however they are named and whatever links lead there.
    """

    def __init__(self, folder: Path) -> None:
        """Look at nothing so far.

        Args:
            folder: The folder of the run.
        """
        self._folder = folder
        self._base = os.path.realpath(folder)
        self._parents: dict[str, str | None] = {}

    def at(self, file: RunFile) -> Path | None:
        """Return the path of a file, all links resolved; there may be none yet.

        Args:
            file: What the journal names.

        Returns:
            None where that is outside of the folder, or is no regular file.
        """
        name = os.path.normpath(path_of(file.told)) if file.told else ""
        if not name or name.startswith(("/", "../")) or name in (".", ".."):
            return None
        try:
            parent, last = os.path.split(name)
            if parent not in self._parents:
                self._parents[parent] = self._resolved(parent)
            real = self._parents[parent]
            return None if real is None else self._regular(f"{real}/{last}")
        except (OSError, ValueError):  # a name that no file can have
            return None

    def _regular(self, path: str) -> Path | None:
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                resolved = self._resolved(path.removeprefix(f"{self._base}/"))
                if resolved is None:
                    return None
                path, mode = resolved, os.lstat(resolved).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return Path(path)
        return Path(path) if stat.S_ISREG(mode) else None

    def _resolved(self, path: str) -> str | None:
        found = os.path.realpath(f"{self._base}/{path}")
        return found if f"{found}/".startswith(f"{self._base.rstrip('/')}/") else None


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
        journal = self._begun()
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

    def _begun(self) -> Journal:
        """Make the folder and its journal elsewhere, and move both here in one step.

        So no other session sees a folder without a locked journal, which it would remove as an
        old one. No lock is asked for that anybody who may read the project could hold, and until
        the journal is locked no other user gets to it.
        """
        draft = self._base / f"{_DRAFT}{os.urandom(4).hex()}"
        made, taken = draft / self.path.name, os.strerror(errno.EEXIST)
        try:
            draft.mkdir(mode=0o700)
        except OSError as error:
            error.filename = str(self.path)
            raise
        try:
            made.mkdir()
            journal = Journal(made / NAME)
            try:
                if self.path.exists():  # an empty folder would be replaced
                    raise FileExistsError(errno.EEXIST, taken, str(self.path))
                made.rename(self.path)
            except OSError as error:
                journal.close()
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise FileExistsError(errno.EEXIST, taken, str(self.path)) from None
                raise
        except JournalError as error:
            raise JournalError(str(error).replace(str(made), str(self.path))) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        journal.path = self.path / NAME
        return journal

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
            if not is_written(path / NAME):
                shutil.rmtree(path, ignore_errors=True)
        for draft in self._base.glob(f"{_DRAFT}*"):  # of a session that was killed as it began
            with contextlib.suppress(OSError):
                if time.time() - draft.stat().st_mtime > _DAY:
                    shutil.rmtree(draft, ignore_errors=True)


def parts(path: str, cell: str | None = None) -> tuple[str, ...]:
    """Return the parts of the path of what a recipe leaves: a short one for what everybody has.

    Args:
        path: The path of the recipe, relative to the rootdir.
        cell: The id of the cell of its matrix.
    """
    way = PurePosixPath(path.strip("/"))
    below = (cell.replace(":", "="),) if cell else ()
    if way.parts[:1] == ("recipes",) and way.suffix == ".yaml":
        return (*way.with_suffix("").parts[1:], *below)
    return (*way.parts, *below)  # the whole path of what may be a twin


def _parts(recipe: "Recipe") -> tuple[str, ...]:
    return parts(recipe.id, recipe.cell.id if recipe.cell else None)
