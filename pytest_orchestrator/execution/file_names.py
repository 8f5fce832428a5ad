"""Files that a path or glob of a recipe names, for criteria and artifacts."""

import glob
import os
from pathlib import Path

from pytest_orchestrator.core.suggestions import nearest

_BROKEN_LINK = "which leads to nothing"


def matching(name: str, root: Path) -> list[str]:
    """Return the paths of the existing files and folders that a path or glob matches.

    The paths are relative to ``root`` if ``name`` is relative. Broken links are left out.
    """
    return [one for one in named(name, root) if os.path.exists(os.path.join(root, one))]


def named(name: str, root: Path) -> list[str]:
    """Return the paths that a path or glob matches, including those of broken links."""
    if os.path.lexists(os.path.join(root, name)):
        return [name]
    # ``root_dir`` is not a pattern, even if its name contains ``*``.
    return glob.glob(name, root_dir=root, recursive=True) if glob.has_magic(name) else []


def missing(name: str, root: Path) -> str:
    """Return the reason why a path or glob matches no file."""
    entries = sorted(named(name, root))
    if entries and os.path.islink(link := os.path.join(root, entries[0])):
        reason = f"{entries[0]} is a link to {os.readlink(link)!r}, {_BROKEN_LINK}"
        return reason if entries == [name] else f"no file matches {name}: {reason}"
    if glob.has_magic(name):
        return f"no file matches {name}"
    folder, last = os.path.split(os.path.join(root, name))
    if not os.path.isdir(folder):
        return f"{name} is not there, nor is its folder"
    return f"{name} is not there{nearest(last, os.listdir(folder))}"
