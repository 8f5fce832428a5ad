"""Run folder: id, layout, the file of its history, and the files that a journal may name."""

import contextlib
import errno
import os
import shutil
import stat
import time
import unicodedata
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.files import path_of
from pytest_orchestrator.core.text import lazy_pattern
from pytest_orchestrator.runs.journal.debt_marks import INSTRUMENTS, beside
from pytest_orchestrator.runs.journal.writer import NAME, Journal

if TYPE_CHECKING:
    from pytest_orchestrator.recipe.model.recipe import Recipe
    from pytest_orchestrator.runs.block import Attempt, Block, Element

_ID = lazy_pattern(r"\d{8}T\d{6}Z-(?:(?:[A-Za-z0-9-]{1,16}-)?[0-9a-f]{12}|[0-9a-f]{4})")
"""Ids of this version, and those of versions up to 0.2, which end in four digits."""
_LONGEST_STATION = 16
_NOT_IN_ID = lazy_pattern(r"[^A-Za-z0-9]+")
_LATEST = "latest"
_DRAFT = ".new-"
_DAY = 86_400.0


def new_id(station: str = "") -> str:
    """Return the id of a run that begins now, such as ``20261125T101502Z-bench-3-7f3a91c0d2e4``.

    It has 48 random bits: the histories of several stations can be merged by copying their files,
    and among 100,000 runs of one second two would be equal in 1 of 56,000 cases.

    Args:
        station: Name of the station; empty for none. Letters lose their accents, and signs other
            than letters and digits become hyphens.
    """
    plain = unicodedata.normalize("NFKD", station).encode("ascii", "ignore").decode()
    word = _NOT_IN_ID.sub("-", plain).strip("-")[:_LONGEST_STATION].rstrip("-")
    parts = (f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}", word, os.urandom(6).hex())
    return "-".join(filter(None, parts))


def free_id(base: Path, station: str = "") -> str:
    """Return an id that no run of a project has so far.

    Args:
        base: The folder of the runs.
        station: As for `new_id`.
    """
    run_id = new_id(station)
    while (base / run_id).exists():
        run_id = new_id(station)
    return run_id


def is_run(path: Path) -> bool:
    """Return True if the name of a folder is a run id."""
    return _ID.fullmatch(path.name) is not None


def history_folder(base: Path) -> Path:
    """Return the folder of the history of a project, which is beside the folder of its runs.

    Args:
        base: The folder of the runs.
    """
    return beside(base, "history")


def instruments_folder(base: Path) -> Path:
    """Return the folder of the journals that commands such as ``instruments query`` write.

    They are no runs of a project: `recipe_keep_runs` does not count them.

    Args:
        base: The folder of the runs.
    """
    return beside(base, INSTRUMENTS)


def history_file(base: Path, run: str) -> Path:
    """Return the path of the file of a run, which may not exist.

    Args:
        base: The folder of the runs.
        run: Id of the run.
    """
    return history_folder(base) / f"{run[:4]}-{run[4:6]}" / f"{run}.json"


class RunFile:
    """Untrusted path of a file as a journal names it; `RunFiles` resolves it.

    Attributes:
        recorded_path: The path in the journal; empty if the journal has no text there.
    """

    __slots__ = ("recorded_path",)

    def __init__(self, path: object) -> None:
        self.recorded_path = path if isinstance(path, str) else ""

    def inside(self, folder: Path) -> Path | None:
        """Return the path of the file inside a run folder; None as for `RunFiles.at`."""
        return RunFiles(folder).at(self)


class LogFile(NamedTuple):
    """Log file as a journal names it: path, size in bytes, and `cut` if it was truncated."""

    file: RunFile
    size: int
    cut: bool


class Artifact(NamedTuple):
    """Artifact of a step as a journal names it: path, type, size in bytes, whether it is secret."""

    file: RunFile
    type: str
    size: int
    has_secret: bool = False


def logs_in(part: "Block | Attempt | Element | None") -> dict[str, LogFile]:
    """Return the logs named in a report block or in one of its attempts, by stream."""
    logs = part.logs if part else None
    streams = {"stdout": logs.stdout, "stderr": logs.stderr, "log": logs.log} if logs else {}
    return {
        stream: LogFile(RunFile(log.path), log.bytes, log.cut)
        for stream, log in streams.items()
        if log
    }


def log_in(recipe: str, name: str) -> RunFile:
    """Return the path of a log of a recipe, which its key names, also if no event names the log."""
    path, _, cell = recipe.removesuffix("]").partition("[")
    return RunFile("/".join(("logs", *subfolder_parts(path, cell or None), name)))


def samples_in(block: "Block | None") -> RunFile | None:
    """Return the file with the resource samples of a report block; None if it has none."""
    used = block.resources if block else None
    return RunFile(used.samples) if used and used.samples else None


def artifacts_in(block: "Block | None") -> list[Artifact]:
    """Return the artifacts named in a report block."""
    return [
        Artifact(RunFile(one.path), one.type, one.bytes, one.has_secret is True)
        for one in (block and block.artifacts) or ()
    ]


class RunFiles:
    """Resolver of the paths in a journal; no other code opens a file that a journal names.

    A journal may come from an untrusted source. Only regular files inside the folder of its run
    are accepted, whatever the path looks like and wherever symbolic links point.
    """

    def __init__(self, folder: Path) -> None:
        """Create the resolver without accessing any file of the run.

        Args:
            folder: The folder of the run.
        """
        self._folder = folder
        self._base = os.path.realpath(folder)
        self._parents: dict[str, str | None] = {}

    def at(self, file: RunFile) -> Path | None:
        """Return the path of a file with all links resolved; the file may not exist yet.

        Args:
            file: The file as the journal names it.

        Returns:
            None if the path is outside the folder, or is not a regular file.
        """
        path = self.text_at(file)
        return None if path is None else Path(path)

    def text_at(self, file: RunFile) -> str | None:
        """Return the path of a file as `at` does, as text."""
        parent, slash, last = path_of(file.recorded_path).rpartition("/")
        if last in ("", ".", "..") or (slash and not parent):
            parent, slash, last = os.path.normpath(f"{parent}{slash}{last}").rpartition("/")
            if last in ("", ".", "..") or (slash and not parent):
                return None
        try:
            if parent not in self._parents:
                self._parents[parent] = self._real_folder(parent)
            real = self._parents[parent]
            return None if real is None else self._regular(f"{real}/{last}")
        except (OSError, ValueError):  # a name that no file can have
            return None

    def _real_folder(self, path: str) -> str | None:
        """Return a folder with all links resolved; None if it is outside of the run."""
        name = os.path.normpath(path) if path else ""
        if name.startswith(("/", "../")) or name == "..":
            return None
        return self._resolved("" if name == "." else name)

    def _regular(self, path: str) -> str | None:
        try:
            mode = os.lstat(path).st_mode
            if stat.S_ISLNK(mode):
                resolved = self._resolved(path.removeprefix(f"{self._base}/"))
                if resolved is None:
                    return None
                path, mode = resolved, os.lstat(resolved).st_mode
        except (FileNotFoundError, NotADirectoryError):
            return path
        return path if stat.S_ISREG(mode) else None

    def _resolved(self, path: str) -> str | None:
        real = os.path.realpath(f"{self._base}/{path}")
        return real if f"{real}/".startswith(f"{self._base.rstrip('/')}/") else None


class RunFolder:
    """The folder of one run.

    Attributes:
        path: The folder; `open` creates it.
    """

    def __init__(self, base: Path, run: str) -> None:
        self._base = base
        self.path = base / run

    def open(self) -> Journal:
        """Create the folder with its journal, and point ``latest`` to it.

        Returns:
            The journal of the run.

        Raises:
            OSError: The folder cannot be created, or belongs to another session.
            JournalError: The journal cannot be created.
        """
        self._base.mkdir(parents=True, exist_ok=True)
        journal = self._create()
        ignored = self._base.parent / ".gitignore"
        if self._base.parent.name == ".orchestrator" and not ignored.exists():
            ignored.write_text("*\n", encoding="utf-8")
        self._point_to()
        for draft in self._base.glob(f"{_DRAFT}*"):  # of sessions killed in `_create`
            with contextlib.suppress(OSError):
                if time.time() - draft.stat().st_mtime > _DAY:
                    shutil.rmtree(draft, ignore_errors=True)
        return journal

    def logs(self, recipe: "Recipe") -> Path:
        """Return the folder for the output of a recipe's steps."""
        return self.path.joinpath("logs", *_parts(recipe))

    def resources(self, recipe: "Recipe") -> Path:
        """Return the folder for the resource samples of a recipe's steps."""
        return self.path.joinpath("resources", *_parts(recipe))

    def artifacts(self, recipe: "Recipe") -> Path:
        """Return the folder for the artifacts of a recipe's steps."""
        return self.path.joinpath("artifacts", *_parts(recipe))

    def _create(self) -> Journal:
        """Create the folder and its journal in a draft folder, and rename it to its final path.

        The rename is atomic, so no other session sees the folder before its journal is locked; it
        would delete such a folder as an old run. A lock on a shared file is not used, because any
        user who may read the project could hold it. No other user can access the journal until it
        is locked.
        """
        draft = self._base / f"{_DRAFT}{os.urandom(4).hex()}"
        new, exists = draft / self.path.name, os.strerror(errno.EEXIST)
        try:
            draft.mkdir(mode=0o700)
        except OSError as error:
            error.filename = str(self.path)
            raise
        try:
            new.mkdir()
            journal = Journal(new / NAME)
            try:
                if self.path.exists():  # rename would replace an empty folder
                    raise FileExistsError(errno.EEXIST, exists, str(self.path))
                new.rename(self.path)
            except OSError as error:
                journal.close()
                if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
                    raise FileExistsError(errno.EEXIST, exists, str(self.path)) from None
                raise
        except JournalError as error:
            raise JournalError(str(error).replace(str(new), str(self.path))) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        journal.path = self.path / NAME
        return journal

    def _point_to(self) -> None:
        """Point the link ``latest`` to this run; replace it atomically."""
        new_link = self._base / f".{_LATEST}.{os.getpid()}"
        with contextlib.suppress(OSError):
            new_link.symlink_to(self.path.name)
            new_link.replace(self._base / _LATEST)


def subfolder_parts(path: str, cell: str | None = None) -> tuple[str, ...]:
    """Return the path of the subfolder for the files of a recipe, as a tuple of its parts.

    A recipe in ``recipes/`` gets a short path: without that folder and without its suffix.

    Args:
        path: The path of the recipe, relative to the rootdir.
        cell: The id of the cell of its matrix.
    """
    recipe_path = PurePosixPath(path.strip("/"))
    below = (cell.replace(":", "="),) if cell else ()
    if recipe_path.parts[:1] == ("recipes",) and recipe_path.suffix == ".yaml":
        return (*recipe_path.with_suffix("").parts[1:], *below)
    return (*recipe_path.parts, *below)  # the whole path: a shortened one might not be unique


def _parts(recipe: "Recipe") -> tuple[str, ...]:
    return subfolder_parts(recipe.id, recipe.cell.id if recipe.cell else None)
