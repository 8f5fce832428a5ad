"""Programs, modules and names that are not there: what to say, and the nearest one that is."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.opening import content

_SKIPPED = {"node_modules", "__pycache__", "venv", "site-packages", "build", "dist"}
_MOST = 5000


def program(
    name: str, cwd: str, error: OSError, root: Path, folders: Iterable[str]
) -> tuple[int, str, str]:
    """Say why a program could not be started.

    Args:
        name: The program as it was looked for.
        cwd: The working directory it was to have.
        error: What the system said.
        root: The rootdir.
        folders: Where a program that is named without a folder is looked for.

    Returns:
        The exit code that a shell would give (127 or 126), one line for people, and the
        step key whose value is to blame.
    """
    if not os.path.isdir(cwd):
        return 127, f"the working directory {relative(cwd, root)} is not there", "cwd"
    shown = relative(name, root)
    path = name if "/" in name else shutil.which(name, path=os.pathsep.join(folders))
    if path is None or not os.path.exists(path):
        near = nearest(shown, scripts(root)) if "/" in name else ""
        return 127, f"program {shown} was not found{near}", "cmd"
    if os.path.isdir(path):
        return 126, f"{shown} is a folder, not a program", "cmd"
    if not os.access(path, os.X_OK):
        return 126, f"{shown} may not be run; give it its run bit: chmod +x {shown}", "cmd"
    interpreter = _interpreter(path)
    if interpreter.endswith("\r"):
        return 127, f"{shown} has Windows line endings; save it with LF (dos2unix {shown})", "cmd"
    if interpreter and isinstance(error, FileNotFoundError):
        return 127, f"{shown} names an interpreter that is not there: {interpreter}", "cmd"
    return 126, f"{shown} could not be run: {error.strerror}", "cmd"


def module(name: str, root: Path) -> str:
    """Return `` (did you mean 'x'?)`` for a module that is not there, or nothing."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts) for path in files(root, ".py")
    }
    last = name.rpartition(".")[2]
    same = sorted(one for one in modules if one.rpartition(".")[2] == last)
    return nearest(name, same, cutoff=0.0) if same else nearest(name, modules)


def recipe(name: str, root: Path) -> str:
    """Return `` (did you mean 'x'?)`` for a recipe that is not there, or nothing."""
    paths = (path for ending in (".yaml", ".yml") for path in files(root, ending))
    return nearest(name, [path.relative_to(root).as_posix() for path in paths])


def relative(path: str, root: Path) -> str:
    """Return a path as it is written in a recipe: relative to the rootdir where it is below."""
    if not os.path.isabs(path):
        return path
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return path


def scripts(root: Path) -> list[str]:
    """Return the files of a project that may be programs."""
    return [
        path.relative_to(root).as_posix()
        for path in files(root, "")
        if path.suffix in (".sh", ".py", "") and os.access(path, os.X_OK)
    ]


def files(root: Path, suffix: str) -> Iterator[Path]:
    """Walk a project for files of an ending; bounded, and past what is not the project's."""
    count = 0
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        for name in names:
            count += 1
            if count > _MOST:
                return
            if name.endswith(suffix) and os.path.isfile(f"{folder}/{name}"):
                yield Path(folder, name)


def _interpreter(path: str) -> str:
    try:
        first = content(path, 256, whole=False).partition(b"\n")[0]
    except OSError:
        return ""
    return first[2:].decode("utf-8", "replace").strip(" \t\n") if first.startswith(b"#!") else ""
