"""pytest plugin: the only package that imports pytest. PYTEST_DONT_REWRITE.

pytest imports this module before all others of the package, and `PackageFinder` finds those. Else
pytest would parse and rewrite each of them; without bytecode files at every start.
"""

import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class PackageFinder:
    """Import finder that finds this package by Python's own path finder."""

    @staticmethod
    def find_spec(
        name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """Return the spec of a module of this package; None for any other module."""
        return (
            PathFinder.find_spec(name, path, target)
            if name.startswith("pytest_orchestrator.")
            else None
        )


sys.meta_path.insert(0, PackageFinder)
