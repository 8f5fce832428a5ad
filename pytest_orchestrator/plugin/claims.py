"""Which YAML files are recipes; nothing here reads more of a file than it has to."""

import re
from pathlib import Path, PurePath
from typing import Literal

import pytest

SUFFIXES = (".yaml", ".yml")

_FOLDER = "recipes"
_FOREIGN = re.compile(r"\.tavern\.ya?ml$")


Claim = Literal["must be", "may be"]
"""Whether a file must be a recipe, or is one if its root looks so (it was only walked by)."""


def claim(path: Path, config: pytest.Config, *, named: bool) -> Claim | None:
    """Decide by its name and place whether a YAML file may be a recipe.

    Args:
        path: The file; its ending is one of ``SUFFIXES``.
        config: For the rootdir, the arguments and the ini key ``recipe_files``.
        named: True where the file itself stands on the command line.

    Returns:
        None for a file that is left alone.
    """
    patterns = config.getini("recipe_files")
    if patterns and _matches(path, config.rootpath, patterns):
        return "must be"
    if _FOREIGN.search(path.name):
        return None
    if named:
        return "must be"
    if patterns or path.name.startswith("_"):
        return None
    folders = _below(path.parent, config.rootpath).parts
    if _FOLDER in folders:
        return "must be" if _asked_for(path, config) else "may be"
    return "may be" if path.stem.endswith(".recipe") else None


def _asked_for(path: Path, config: pytest.Config) -> bool:
    """Tell whether an argument of pytest leads into the recipes folder of a file."""
    start = config.invocation_params.dir
    for argument in config.args:
        folder = Path(start, argument.partition("::")[0])
        if path.is_relative_to(folder) and _FOLDER in _below(folder, config.rootpath).parts:
            return True
    return False


def _matches(path: Path, root: Path, patterns: list[str]) -> bool:
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
