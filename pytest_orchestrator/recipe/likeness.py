"""Whether a YAML file that pytest only came by is meant to be a recipe."""

import re
from pathlib import Path

from yaml import MappingNode

from pytest_orchestrator.recipe.problems import Problems, Refused
from pytest_orchestrator.recipe.source import MAX_BYTES, compose, read

_ANYWHERE = re.compile(r"\b(?:steps|test_meta)\b[\"']?\s*:")
_AT_ROOT = re.compile(r"^([\"']?)(?:steps|test_meta)\1[ \t]*:(?:\s|$)", re.MULTILINE)


def looks_like_recipe(content: Path | str | bytes) -> bool:
    """Tell whether a YAML file that pytest only came by is meant to be a recipe.

    Args:
        content: The file, its text or its bytes.

    Returns:
        True where the root has ``steps`` or ``test_meta``, be the file good or not.
    """
    if isinstance(content, Path):
        try:
            content = read(content, MAX_BYTES, Problems())
        except Refused:
            return False
    text = content if isinstance(content, str) else content.decode("utf-8-sig", "replace")
    if not _ANYWHERE.search(text):
        return False
    if _AT_ROOT.search(text):
        return True
    try:
        root = compose(text, Problems())
    except Refused:
        return False
    return type(root) is MappingNode and any(
        key.value in {"steps", "test_meta"} for key, _ in root.value
    )
