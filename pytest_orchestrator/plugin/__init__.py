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
    names of packages and of compiled modules first. Python computes the name of the compiled module
    if the spec has none, which takes as long as to find the module.
    """

    @staticmethod
    def find_spec(
        name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of this package; None for any other module."""
        if not name.startswith("pytest_orchestrator.") or not path:
            return None
        stem = f"{path[0]}/{name.rpartition('.')[2]}"
        inside = None if isfile(f"{stem}.py") else [stem]  # noqa: PTH113 - pathlib takes longer
        file = f"{stem}/__init__.py" if inside else f"{stem}.py"
        if inside and not isfile(file):  # noqa: PTH113
            return PathFinder.find_spec(name, path, target)
        spec = ModuleSpec(name, SourceFileLoader(name, file), origin=file)
        spec.submodule_search_locations = inside
        spec.has_location = True
        if _COMPILED:
            folder, _, source = file.rpartition("/")
            spec.cached = f"{folder}/__pycache__/{source[:-3]}{_COMPILED}"
        return spec


_COMPILED = (
    "" if sys.flags.optimize or sys.pycache_prefix else f".{sys.implementation.cache_tag}.pyc"
)
"""End of the names of compiled modules; empty if Python has to compute these names."""
sys.meta_path.insert(0, PackageFinder)
