"""pytest plugin: the only package that imports pytest. PYTEST_DONT_REWRITE.

pytest imports this module before all others of the package, and `PackageFinder` finds those. Else
pytest would parse and rewrite each of them; without bytecode files at every start.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from os.path import isfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


class PackageFinder:
    """Import finder of this package: a module by its file, all else by Python's own path finder.

    For a module the path finder takes longer: it looks at the folder for a change, and tries the
    names of packages and of compiled modules first.
    """

    @staticmethod
    def find_spec(
        name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of this package; None for any other module."""
        if not name.startswith("pytest_orchestrator.") or not path:
            return None
        file = f"{path[0]}/{name.rpartition('.')[2]}.py"
        if isfile(file):  # noqa: PTH113 - an object of pathlib takes longer
            spec = ModuleSpec(name, SourceFileLoader(name, file), origin=file)
            spec.has_location = True
            return spec
        return PathFinder.find_spec(name, path, target)


sys.meta_path.insert(0, PackageFinder)
