"""What the steps of a file call, by its text alone: the file need be no good recipe for that."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from pytest_orchestrator.recipe.problems import Problems, Refused
from pytest_orchestrator.recipe.source import MAX_BYTES, compose, read


class Mention(NamedTuple):
    """A step that calls something.

    Attributes:
        path: The file that the step is written in.
        step: Its name.
        line: Its line, from 1.
        module: Its `module`; empty where it has none.
        name: Its `class` or `function`, likewise.
        command: Its `cmd` as one text, likewise.
    """

    path: Path
    step: str
    line: int
    module: str
    name: str
    command: str


def mentions(paths: Iterable[Path], root: Path) -> tuple[list[Mention], list[Path]]:
    """Return what steps call, also those of the files that are used.

    Args:
        paths: Recipes.
        root: The rootdir, which paths of `use` are relative to.

    Returns:
        The mentions, and the files that are no YAML.
    """
    found: list[Mention] = []
    unread: list[Path] = []
    left = dict.fromkeys(paths)
    seen: set[Path] = set()
    while left:
        path = next(iter(left))
        del left[path]
        seen.add(path)
        try:
            tree = compose(read(path, MAX_BYTES, Problems()).decode("utf-8-sig"), Problems())
        except (Refused, UnicodeDecodeError):
            unread.append(path)
            continue
        for step in _steps(tree):
            keys = dict(_texts(step))
            if "use" in keys:
                used = root / keys["use"]
                left.update(dict.fromkeys({used} - seen if used.is_file() else ()))
            name = keys.get("class") or keys.get("function") or ""
            line = step.start_mark.line + 1
            called = (keys.get("module", ""), name, keys.get("cmd", ""))
            found.append(Mention(path, keys.get("name", ""), line, *called))
    return found, unread


def _steps(tree: Node | None) -> Iterator[MappingNode]:
    for key, value in tree.value if isinstance(tree, MappingNode) else ():
        if key.value in ("steps", "finally") and isinstance(value, SequenceNode):
            yield from (one for one in value.value if isinstance(one, MappingNode))


def _texts(step: MappingNode) -> Iterator[tuple[str, str]]:
    """Return the keys whose values are text, or lists of texts, which become one."""
    for key, value in step.value:
        if isinstance(value, ScalarNode):
            yield key.value, value.value
        elif isinstance(value, SequenceNode):
            words = [one.value for one in value.value if isinstance(one, ScalarNode)]
            yield key.value, " ".join(words)
