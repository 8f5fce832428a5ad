"""Criteria on files: that they are there, that they are not."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from pytest_orchestrator.core.nearest import nearest
from pytest_orchestrator.core.result import Verdict
from pytest_orchestrator.execution.evidence import Evidence, verdict
from pytest_orchestrator.recipe.step_keys import Criterion

_SHOWN = 3
_NOWHERE = "which leads to nothing"


def exists(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """A path leads to something, or a glob matches something."""
    name = str(criterion.wanted)
    found = matching(name, evidence.root)
    yield verdict(criterion, None if found else missing(name, evidence.root))


def absent(criterion: Criterion, evidence: Evidence) -> Iterator[Verdict]:
    """A path leads to nothing, a glob matches nothing."""
    name = str(criterion.wanted)
    found = matching(name, evidence.root)
    if not found:
        yield verdict(criterion)
    elif found == [name]:
        yield verdict(criterion, f"{name} is there", measured=1)
    else:
        more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
        shown = ", ".join(sorted(found)[:_SHOWN])
        yield verdict(criterion, f"{name} matches {shown}{more}", measured=len(found))


def matching(name: str, root: Path) -> list[str]:
    """Return the files that a path or glob leads to, relative to the rootdir where the name is.

    Links are followed: one that leads to nothing is no file.
    """
    return [one for one in named(name, root) if os.path.exists(os.path.join(root, one))]


def named(name: str, root: Path) -> list[str]:
    """Return the entries of folders that a path or glob names, broken links among them."""
    if os.path.lexists(os.path.join(root, name)):
        return [name]
    # The rootdir is no pattern, whatever its name.
    return glob.glob(name, root_dir=root, recursive=True) if glob.has_magic(name) else []


def missing(name: str, root: Path) -> str:
    """Say what is there instead of a file that is not."""
    found = sorted(named(name, root))
    if found and os.path.islink(link := os.path.join(root, found[0])):
        told = f"{found[0]} is a link to {os.readlink(link)!r}, {_NOWHERE}"
        return told if found == [name] else f"no file matches {name}: {told}"
    if glob.has_magic(name):
        return f"no file matches {name}"
    folder, last = os.path.split(os.path.join(root, name))
    if not os.path.isdir(folder):
        return f"{name} is not there, nor is its folder"
    return f"{name} is not there{nearest(last, os.listdir(folder))}"
