"""What is installed, read once for all sessions of pytest that run in this process.

Each session asks every package for its metadata, its entry points and its files, which is a
third of what a session of a small recipe costs. None of them changes while tests run.
"""

import sys
from collections.abc import Callable, Iterator
from functools import cache, cached_property
from importlib.metadata import Distribution, EntryPoints, PackagePath
from typing import Any


class Package:
    """A package that is parsed once."""

    def __init__(self, found: Distribution) -> None:
        self._found = found

    @cached_property
    def metadata(self) -> Any:
        """Its name and all else that is said of it."""
        return self._found.metadata

    @cached_property
    def version(self) -> str:
        """Which one it is, said in its metadata."""
        return str(self.metadata["Version"])

    @cached_property
    def entry_points(self) -> EntryPoints:
        """What it brings."""
        return self._found.entry_points

    @cached_property
    def files(self) -> list[PackagePath] | None:
        """What it is made of."""
        return self._found.files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._found, name)


def read_once(distributions: Callable[..., Any]) -> Callable[..., Iterator[Any]]:
    """Return `importlib.metadata.distributions`, which reads folders that are there now once."""
    known = frozenset(sys.path)

    @cache
    def packages(folder: str) -> tuple[Package, ...]:
        return tuple(Package(one) for one in distributions(path=[folder]))

    def found(**asked: Any) -> Iterator[Any]:
        if asked:
            yield from distributions(**asked)
            return
        for folder in sys.path:
            yield from packages(folder) if folder in known else distributions(path=[folder])

    return found
