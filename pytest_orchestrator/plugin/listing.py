"""`pytest --list-steps`: the scriptlets of a project; nothing is collected or run."""

import sys
from pathlib import Path

import pytest

from pytest_orchestrator.plugin.brought import with_types
from pytest_orchestrator.plugin.claims import claimed
from pytest_orchestrator.plugin.state import state_of
from pytest_orchestrator.recipe.parsing.source import looks_like_recipe
from pytest_orchestrator.scriptlets.discovery import take
from pytest_orchestrator.scriptlets.listing import as_text


def show(config: pytest.Config) -> int:
    """Print the listing; return how pytest exits.

    Returns:
        0, or 1 where a file cannot be read.
    """
    root = config.rootpath
    found = claimed(
        [root],
        root,
        config.getini("recipe_files"),
        [root / name for name in config.getini("testpaths")],
    )
    paths = [path for path, claim in found if claim == "must be" or looks_like_recipe(path)]
    known = state_of(config).extensions
    inventory = with_types(take(root, paths, list(map(Path, config.getini("pythonpath")))), known)
    encoding = sys.stdout.encoding or "utf-8"  # which may not have all names of files
    shown = as_text(inventory).encode(encoding, "backslashreplace").decode(encoding)
    sys.stdout.write(f"{shown}\n")
    return 1 if inventory.has_error else 0
