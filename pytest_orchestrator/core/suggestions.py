"""Hints for names, programs, modules and files that are missing ("did you mean")."""

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pytest_orchestrator.core.text import some_of

_MOST_ENTRIES = 5000
"""Files that are looked at for a hint; a project may contain environments and huge data."""


def missing_program(
    name: str, cwd: str, error: OSError, root: Path, folders: Iterable[str]
) -> tuple[int, str, str]:
    """Return the explanation for a program that could not be started.

    Args:
        name: The program as the step names it.
        cwd: The working directory for the program.
        error: The error of the operating system.
        root: The rootdir.
        folders: Folders in which a program without a folder in its name is searched.

    Returns:
        The exit code that a shell would return (127 or 126), one line of explanation, and the
        step key whose value is wrong.
    """
    import shutil

    if not os.path.isdir(cwd):
        return 127, f"the working directory {relative(cwd, root)} is not there", "cwd"
    shown = relative(name, root)
    path = name if "/" in name else shutil.which(name, path=os.pathsep.join(folders))
    if path is None or not os.path.exists(path):
        near = nearest(shown, project_scripts(root)) if "/" in name else ""
        if any("$" in folder for folder in folders):
            near = " (its PATH has a `$`, which env does not replace: write ${{ env.PATH }})"
        elif " " in shown:
            near = " (a list is one program and its arguments; lines go below `cmd: |`)"
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


def module_hint(name: str, root: Path) -> str:
    """Return `` (did you mean 'x'?)`` for a missing module; empty if no module is similar."""
    return _question(similar_module(name, root))


def similar_module(name: str, root: Path) -> str:
    """Return the module of a project most similar to a missing module; empty if none is similar."""
    modules = {
        ".".join(path.relative_to(root).with_suffix("").parts)
        for path in project_files(root, ".py")
    }
    last = name.rpartition(".")[2]
    namesakes = sorted(module for module in modules if module.rpartition(".")[2] == last)
    return similar(name, namesakes, cutoff=0.0) if namesakes else similar(name, modules)


def recipe_hint(name: str, root: Path) -> str:
    """Return `` (did you mean 'x'?)`` for a missing recipe; empty if no recipe is similar."""
    paths = (path for ending in (".yaml", ".yml") for path in project_files(root, ending))
    return nearest(name, [path.relative_to(root).as_posix() for path in paths])


def relative(path: str, root: Path) -> str:
    """Return a path as text: relative to the rootdir if it is inside."""
    if not os.path.isabs(path):
        return path
    try:
        return Path(path).relative_to(root).as_posix()
    except ValueError:
        return path


def project_scripts(root: Path) -> list[str]:
    """Return the executable scripts of a project (``.sh``, ``.py`` or no suffix)."""
    return [
        path.relative_to(root).as_posix()
        for path in project_files(root, "")
        if path.suffix in (".sh", ".py", "") and os.access(path, os.X_OK)
    ]


def project_files(root: Path, suffix: str) -> Iterator[Path]:
    """Yield the files of a project with a suffix, among the first 5,000 of `files_below`."""
    for path in islice(_paths_below(root), _MOST_ENTRIES):
        if path.endswith(suffix) and os.path.isfile(path):
            yield Path(path)


def _interpreter(path: str) -> str:
    from pytest_orchestrator.core.files import content

    try:
        first = content(path, 256, whole=False).partition(b"\n")[0]
    except OSError:
        return ""
    return first[2:].decode("utf-8", "replace").strip(" \t\n") if first.startswith(b"#!") else ""


_MOST_NAMES = 5000
"""Names that are compared with a misspelt one; so many take some 0.4 s."""


def nearest(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return a hint with the valid name that is most similar to an unknown one.

    Args:
        name: The unknown name.
        names: The valid names; only the first 5,000 are compared.
        cutoff: The minimum similarity, from 0 to 1.

    Returns:
        Text such as `` (did you mean 'module'?)``; empty if no name is similar.
    """
    return _question(similar(name, names, cutoff=cutoff))


def _question(near: str) -> str:
    return f" (did you mean '{near}'?)" if near else ""


def similar(name: str, names: Iterable[str], *, cutoff: float = 0.6) -> str:
    """Return the valid name that is most similar to an unknown one; empty if no name is similar."""
    from difflib import get_close_matches

    candidates = [*filter(str.isprintable, islice(names, _MOST_NAMES))]
    for spelling in dict.fromkeys((name[:200], name[:200].lower())):
        if near := get_close_matches(spelling, candidates, n=1, cutoff=cutoff):
            return near[0]
    return ""


def there_is(names: Sequence[str], *, most: int | None = None) -> str:
    """Return the end of a message that lists the valid names.

    Args:
        names: The valid names.
        most: Names that are listed; None lists all.

    Returns:
        Text such as ``; there is a, b and 3 more``, ``; there is only 'a'`` or ``; there is none``.
    """
    if len(names) == 1:
        return f"; there is only '{names[0]}'"
    return f"; there is {some_of(names, most) or 'none'}"


_IGNORED_FOLDERS = frozenset(
    {
        "_darcs",
        "build",
        "CVS",
        "dist",
        "node_modules",
        "site-packages",
        "venv",
        "__pycache__",
        "{arch}",
    }
)


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, sorted.

    Args:
        folder: The top folder; hidden folders, virtual environments and build folders below it
            are skipped.
    """
    return map(Path, _paths_below(folder))


def _paths_below(top: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(top):
        if "pyvenv.cfg" in names and folder != str(top):
            folders.clear()  # a virtual environment
            continue
        folders[:] = sorted(
            name for name in folders if not name.startswith(".") and name not in _IGNORED_FOLDERS
        )
        yield from (os.path.join(folder, name) for name in sorted(names))
