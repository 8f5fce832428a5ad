"""What a run stands in: the machine, the interpreter, the revision of the project."""

import getpass
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_orchestrator.core import files

_LARGEST = 512 * 1024
_PATIENCE = 2.0


def surroundings(root: Path) -> dict[str, Any]:
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
