"""Provenance of a run: machine, interpreter, revision, recipe texts."""

import contextlib
import getpass
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
    """Return what is known of them without any wait worth telling.

    Args:
        root: The rootdir of the project.

    Returns:
        ``python``, ``executable``, ``platform``, ``user``; ``git`` where the project is in a
        repository.
    """
    system = os.uname()
    told = {
        "python": platform.python_version(),
        "executable": sys.executable,
        "platform": f"{system.sysname} {system.release} {system.machine}",
        "user": _user(),
    }
    git = revision(root)
    return told | ({"git": git} if git else {})


def revision(root: Path) -> dict[str, Any]:
    """Return ``revision``, ``branch`` and ``dirty`` of a repository, as far as they are known.

    Args:
        root: A folder in it.
    """
    try:
        found = _folders(root)
        if found is None:
            return {}
        folder, common = found
        head = files.text(folder / "HEAD").strip()
        told: dict[str, Any] = {}
        name = head.removeprefix("ref: ")
        if name != head:
            told["branch"] = name.removeprefix("refs/heads/")
            head = _commit(name, folder, common)
        if head:
            told["revision"] = head
        dirty = _is_dirty(root, folder)
    except (OSError, UnicodeDecodeError):
        return {}
    return told if dirty is None else told | {"dirty": dirty}


def _folders(root: Path) -> tuple[Path, Path] | None:
    """Return where git keeps what belongs to a work tree, and what all of them share."""
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
    """Ask git whether anything it knows is changed, where the project is small enough for that."""
    git = shutil.which("git")
    index = folder / "index"
    if git is None or not index.is_file() or index.stat().st_size > _LARGEST:
        return None
    words = [git, "--no-optional-locks", "-C", str(root), "status", "--porcelain", "-uno"]
    environ = os.environ | {"GIT_CONFIG_COUNT": "1"}
    # A repository may name a program that git runs for this.
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
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number that nobody has given a name
        return str(os.getuid())


FOLDER: Final = "sources"
"""Where the texts stand in the folder of a run, by their paths from the rootdir."""


def keep_text(folder: Path, recipe: Recipe, masked: Callable[[str], str]) -> None:
    """Keep the text of a recipe and of the files that it uses; what cannot be written is left.

    Args:
        folder: The folder of the run.
        recipe: The recipe.
        masked: Takes secrets out of a text.
    """
    texts = {recipe.id: recipe.text}
    for step in (*recipe.steps, *recipe.final):
        if step.part is not None:
            texts.setdefault(step.part.source.id, step.part.source.text)
    for name, text in texts.items():
        path = place_of(folder, name)
        if path is not None and not path.exists():
            with contextlib.suppress(OSError):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(masked(text), encoding="utf-8")


class PendingTexts:
    """Keeps texts of recipes as soon as the folder of their run is there: its journal makes it."""

    def __init__(self, folder: Callable[[], Path], masked: Callable[[str], str]) -> None:
        """Keep nothing so far.

        Args:
            folder: Gives the folder of the run; asked only where a text waits.
            masked: Takes secrets out of a text.
        """
        self._folder = folder
        self._masked = masked
        self._recipes: list[Recipe] = []
        self._lock = threading.Lock()

    def add(self, recipe: Recipe) -> None:
        """Keep the text of a recipe, now or later."""
        self._recipes.append(recipe)
        self.keep()

    def keep(self) -> None:
        """Keep what waits, if it can be kept now."""
        with self._lock:
            while self._recipes and self._folder().is_dir():
                keep_text(self._folder(), self._recipes.pop(), self._masked)


def place_of(folder: Path, name: object) -> Path | None:
    """Return the path at which the text of a file is kept; None outside of the run's folder.

    Args:
        folder: The folder of the run.
        name: Path of the file, relative to the rootdir or absolute, as a journal has it.
    """
    kept = RunFile(name).told.strip("/")
    return RunFile(f"{FOLDER}/{kept}").inside(folder) if kept else None
