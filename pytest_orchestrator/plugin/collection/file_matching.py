"""Detection of recipes among YAML files by file name and path."""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Literal

SUFFIXES = (".yaml", ".yml")

_FOLDER = "recipes"
# Tavern collects these files itself, also in a folder called recipes.
_FOREIGN = (".tavern.yaml", ".tavern.yml")


Claim = Literal["must be", "may be"]
"""``must be``: the file is collected as a recipe; ``may be``: only if it looks like a recipe."""


@lru_cache(maxsize=1)
def asked_folders(arguments: tuple[str, ...], here: Path, root: Path) -> tuple[Path, ...]:
    """Return the folders of recipes that the command line names.

    Args:
        arguments: The files and folders of the command line, each perhaps with ``::`` and a name.
        here: The folder that they are relative to.
        root: The rootdir.
    """
    paths = (here / argument.partition("::")[0] for argument in arguments)
    return tuple(path for path in paths if _FOLDER in _relative_parts(path, root))


def claim(
    path: Path, root: Path, patterns: Sequence[str], asked: Iterable[Path], *, named: bool
) -> Claim | None:
    """Return the claim of a YAML file by its path alone; the file is not read.

    Args:
        path: The file; its ending is one of ``SUFFIXES``.
        root: The rootdir.
        patterns: The patterns of the ini key ``recipe_files``.
        asked: The return value of `asked_folders`.
        named: True if the command line names the file itself.

    Returns:
        The claim; None for a file that is not collected.
    """
    if patterns and _matches(path, root, patterns):
        return "must be"
    if path.name.endswith(_FOREIGN):
        return None
    if named:
        return "must be"
    if patterns or path.name.startswith("_"):
        return None
    if _FOLDER in _relative_parts(path, root)[:-1]:
        return "must be" if any(map(path.is_relative_to, asked)) else "may be"
    return "may be" if path.stem.endswith(".recipe") else None


def claimed(
    paths: Sequence[Path], root: Path, patterns: Sequence[str], asked: Sequence[Path]
) -> Iterator[tuple[Path, Claim]]:
    """Yield each YAML file that must or may be a recipe once, with its claim.

    Args:
        paths: Folders to search, and files; a file counts as named by the command line.
        root: The rootdir.
        patterns: The patterns of the ini key ``recipe_files``.
        asked: The return value of `asked_folders`.
    """
    seen: set[Path] = set()
    for one in paths:
        named = one.is_file()
        for path in [one] if named else walked(one):
            file_claim = claim(path, root, patterns, asked, named=named)
            if file_claim and path not in seen:
                seen.add(path)
                yield path, file_claim


def not_claimed(folders: Iterable[Path], root: Path, patterns: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each file in folders that is meant as a recipe by its text alone."""
    from pytest_orchestrator.core.suggestions import project_files
    from pytest_orchestrator.recipe.parsing.source import looks_like_recipe

    for path in (path for folder in folders for path in project_files(folder, "")):
        name = path.relative_to(root) if path.is_relative_to(root) else path
        if path.name.endswith((".yaml.txt", ".yml.txt")):
            yield f"{name} looks like a recipe; rename it to {path.stem}"
        elif path.name.endswith(SUFFIXES) and not path.name.startswith("_"):
            is_other = claim(path, root, patterns, (), named=False) or path.name.endswith(_FOREIGN)
            if not is_other and looks_like_recipe(path):
                yield f"{name} looks like a recipe; move it to a folder 'recipes', or name the file"


def walked(folder: Path) -> Iterator[Path]:
    """Yield the YAML files below a folder, sorted; hidden, build and venv folders are skipped."""
    from pytest_orchestrator.core.suggestions import files_below

    return (path for path in files_below(folder) if path.name.endswith(SUFFIXES))


def can_match(pattern: str) -> bool:
    """Return False if a pattern of `recipe_files` matches no YAML file, whatever files exist."""
    *folders, last = pattern.split("/")
    if {"", ".", ".."}.intersection((*folders, last)):
        return False
    return "*" in last or "?" in last or last.lower().endswith(SUFFIXES)


def _matches(path: Path, root: Path, patterns: Sequence[str]) -> bool:
    try:
        name = path.relative_to(root)
    except ValueError:
        return False
    return any(_full_match(name, pattern) for pattern in patterns)


def _full_match(name: PurePath, pattern: str) -> bool:
    """Return True if a path matches a pattern as in ``PurePath.full_match`` of Python 3.13.

    The part ``**`` stands for any number of folders.
    """
    parts = ["(?:[^/]+/)*" if part == "**" else _segment(part) + "/" for part in pattern.split("/")]
    expression = "".join(parts)
    expression = expression + ".*" if pattern.endswith("**") else expression.removesuffix("/")
    return re.fullmatch(expression, name.as_posix()) is not None


def _segment(part: str) -> str:
    signs = {"*": "[^/]*", "?": "[^/]"}
    return "".join(signs.get(char, re.escape(char)) for char in part)


def _relative_parts(path: Path, root: Path) -> tuple[str, ...]:
    """Return the parts of a path below the rootdir; all its parts if it is elsewhere."""
    depth = len(root.parts)
    return path.parts[depth:] if path.parts[:depth] == root.parts else path.parts
