"""File matching: which YAML files are recipes, by name and place."""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath
from typing import Literal

SUFFIXES = (".yaml", ".yml")

_FOLDER = "recipes"
_FOREIGN = (".tavern.yaml", ".tavern.yml")


Claim = Literal["must be", "may be"]
"""Whether a file must be a recipe, or is one if its root looks so (it was only walked by)."""


def claim(
    path: Path, root: Path, patterns: Sequence[str], asked: Iterable[Path], *, named: bool
) -> Claim | None:
    """Decide by its name and place whether a YAML file may be a recipe.

    Args:
        path: The file; its ending is one of ``SUFFIXES``.
        root: The rootdir.
        patterns: The ini key ``recipe_files``.
        asked: The folders that were asked for.
        named: True where the file itself was.

    Returns:
        None for a file that is left alone.
    """
    if patterns and _matches(path, root, patterns):
        return "must be"
    if path.name.endswith(_FOREIGN):
        return None
    if named:
        return "must be"
    if patterns or path.name.startswith("_"):
        return None
    if _FOLDER in _below(path.parent, root).parts:
        return "must be" if _leads_to(asked, path, root) else "may be"
    return "may be" if path.stem.endswith(".recipe") else None


def claimed(
    paths: Sequence[Path], root: Path, patterns: Sequence[str], asked: Sequence[Path]
) -> Iterator[tuple[Path, Claim]]:
    """Return the files that must be recipes or may be, each once.

    Args:
        paths: Files that are named, and folders that are walked through.
        root: The rootdir.
        patterns: The ini key ``recipe_files``.
        asked: The folders that were asked for.
    """
    seen: set[Path] = set()
    for one in paths:
        named = one.is_file()
        for path in [one] if named else walked(one):
            found = claim(path, root, patterns, asked, named=named)
            if found and path not in seen:
                seen.add(path)
                yield path, found


def walked(folder: Path) -> Iterator[Path]:
    """Return the YAML files below a folder, in order, past what pytest passes by as well."""
    from pytest_orchestrator.core.suggestions import files_below

    return (path for path in files_below(folder) if path.name.endswith(SUFFIXES))


def _leads_to(asked: Iterable[Path], path: Path, root: Path) -> bool:
    """Tell whether one of some folders leads into the recipes folder of a file."""
    return any(
        path.is_relative_to(folder) and _FOLDER in _below(folder, root).parts for folder in asked
    )


def _matches(path: Path, root: Path, patterns: Sequence[str]) -> bool:
    try:
        name = path.relative_to(root)
    except ValueError:
        return False
    return any(_full_match(name, pattern) for pattern in patterns)


def _full_match(name: PurePath, pattern: str) -> bool:
    """Match as Python 3.13 does: ``**`` is any number of folders."""
    parts = ["(?:[^/]+/)*" if part == "**" else _segment(part) + "/" for part in pattern.split("/")]
    expression = "".join(parts)
    expression = expression + ".*" if pattern.endswith("**") else expression.removesuffix("/")
    return re.fullmatch(expression, name.as_posix()) is not None


def _segment(part: str) -> str:
    signs = {"*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(char, re.escape(char)) for char in part)


def _below(path: Path, root: Path) -> PurePath:
    return path.relative_to(root) if path.is_relative_to(root) else path
