"""Provenance of a run: machine, interpreter, revision, recipe texts."""

import contextlib
import os
import platform
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pytest_orchestrator.core import files
from pytest_orchestrator.recipe.model.recipe import Recipe
from pytest_orchestrator.runs.folder import RunFile

_LARGEST = 512 * 1024
_PATIENCE = 2.0


def provenance(root: Path) -> dict[str, Any]:
    """Return the provenance of a run; wait at most two seconds for ``git status``.

    Args:
        root: The rootdir of the project.

    Returns:
        ``python``, ``executable``, ``platform``, ``user``; and ``git`` if the project is in a
        git repository.
    """
    system = os.uname()
    origin = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "user": _user(),
    }
    git = revision(root)
    return origin | ({"git": git} if git else {})


def revision(root: Path) -> dict[str, Any]:
    """Return ``revision``, ``branch`` and ``dirty`` of a git repository, as far as known.

    Args:
        root: A folder of the work tree.
    """
    try:
        folders = _git_folders(root)
        if folders is None:
            return {}
        folder, common = folders
        head = files.text(folder / "HEAD").strip()
        state: dict[str, Any] = {}
        name = head.removeprefix("ref: ")
        if name != head:
            state["branch"] = name.removeprefix("refs/heads/")
            head = _commit(name, folder, common)
        if head:
            state["revision"] = head
        dirty = _is_dirty(root, folder)
    except (OSError, UnicodeDecodeError):
        return {}
    return state if dirty is None else state | {"dirty": dirty}


def _git_folders(root: Path) -> tuple[Path, Path] | None:
    """Return the git directory of a work tree, and the git directory that all work trees share."""
    for place in (root, *root.parents):
        git = place / ".git"
        if git.is_dir():
            return git, git
        if git.is_file():
            folder = place / files.text(git).strip().removeprefix("gitdir: ")
            shared = folder / "commondir"
            if shared.is_file():
                return folder, folder / files.text(shared).strip()
            return folder, folder
    return None


def _commit(name: str, *folders: Path) -> str:
    for folder in folders:
        if (folder / name).is_file():
            return files.text(folder / name).strip()
    packed = folders[-1] / "packed-refs"
    if packed.is_file():
        text = files.text(packed)
        if match := re.search(rf"^([0-9a-f]+) {re.escape(name)}$", text, re.MULTILINE):
            return match[1]
    return ""


def _is_dirty(root: Path, folder: Path) -> bool | None:
    """Return True if a tracked file has uncommitted changes; None if that is unknown.

    A repository with an index of more than 512 KiB is not checked: that would take too long.
    """
    git = shutil.which("git")
    index = folder / "index"
    if git is None or not index.is_file() or index.stat().st_size > _LARGEST:
        return None
    words = [git, "--no-optional-locks", "-C", str(root), "status", "--porcelain", "-uno"]
    environ = os.environ | {"GIT_CONFIG_COUNT": "1"}
    # The configuration of a repository may name a program that `git status` runs.
    environ |= {"GIT_CONFIG_KEY_0": "core.fsmonitor", "GIT_CONFIG_VALUE_0": "false"}
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return bool(done.stdout) if done.returncode == 0 else None


def _user() -> str:
    """Return the name of the user, found as `getpass` does, which imports modules of terminals."""
    import pwd

    found = (os.environ.get(name) for name in ("LOGNAME", "USER", "LNAME", "USERNAME"))
    try:
        return next(filter(None, found), None) or pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # the user id has no name
        return str(os.getuid())


FOLDER: Final = "sources"
"""Folder of the recipe texts in a run folder; each has its path from the rootdir there."""


def store_text(folder: Path, recipe: Recipe, masked: Callable[[str], str]) -> None:
    """Store the text of a recipe and of the files that it uses; ignore write errors.

    Args:
        folder: The folder of the run.
        recipe: The recipe.
        masked: Masks secrets in a text.
    """
    texts = {recipe.id: recipe.text}
    for step in (*recipe.steps, *recipe.final):
        if step.file_use is not None:
            texts.setdefault(step.file_use.source.id, step.file_use.source.text)
    for name, text in texts.items():
        path = stored_text_path(folder, name)
        if path is not None and not path.exists():
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(masked(text), encoding="utf-8")


class PendingTexts:
    """Queue of recipe texts that cannot be stored before the run folder exists."""

    def __init__(self, folder: Callable[[], Path], masked: Callable[[str], str]) -> None:
        """Create an empty queue.

        Args:
            folder: Returns the folder of the run; called only while a text is queued.
            masked: Masks secrets in a text.
        """
        self._folder = folder
        self._masked = masked
        self._recipes: list[Recipe] = []
        self._lock = threading.Lock()

    def add(self, recipe: Recipe) -> None:
        """Store the text of a recipe; queue it if the run folder does not exist yet."""
        self._recipes.append(recipe)
        self.store()

    def store(self) -> None:
        """Store the queued texts if the run folder exists."""
        if not self._recipes:
            return
        with self._lock:
            while self._recipes and self._folder().is_dir():
                store_text(self._folder(), self._recipes.pop(), self._masked)


def stored_text_path(folder: Path, name: object) -> Path | None:
    """Return the path of the stored text of a file; None if it would be outside the run folder.

    Args:
        folder: The folder of the run.
        name: Path of the file, relative to the rootdir or absolute, as a journal has it.
    """
    stored = RunFile(name).recorded_path.strip("/")
    return RunFile(f"{FOLDER}/{stored}").inside(folder) if stored else None
