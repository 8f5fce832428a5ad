"""Import of the modules of this package, with less work than Python's own.

Python takes as long to find a small module and to read its bytecode file as to execute it, and a
session with a recipe imports some 250. This finder saves 22 of 1,046 million instructions of a
session with two shell steps.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import MAGIC_NUMBER
from marshal import loads
from os import stat
from os.path import isfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType


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
        inside = None if isfile(f"{stem}.py") else [stem]  # pathlib takes longer
        file = f"{stem}/__init__.py" if inside else f"{stem}.py"
        if inside and not isfile(file):
            return PathFinder.find_spec(name, path, target)
        loader = _Loader(name, file)
        spec = ModuleSpec(name, loader, origin=file)
        spec.submodule_search_locations = inside
        spec.has_location = True
        if _COMPILED:
            folder, _, source = file.rpartition("/")
            spec.cached = loader.compiled = f"{folder}/__pycache__/{source[:-3]}{_COMPILED}"
        return spec


class _Loader(SourceFileLoader):
    """Loader of a module, which reads its bytecode file in less time than Python's own loader.

    Python's loader takes over if the file is missing, belongs to another version of the source, or
    was made when the source was in another folder.
    """

    compiled = ""

    def get_code(self, fullname: str) -> "CodeType | None":
        try:
            with open(self.compiled, "rb", 0) as file:  # noqa: PTH123 - pathlib takes longer
                data = file.read()
            now = stat(self.path)  # noqa: PTH116
        except OSError:  # the name may be empty, too
            return super().get_code(fullname)
        # The first bytes of a bytecode file, as PEP 552 defines them.
        times = int(now.st_mtime) & 0xFFFFFFFF, now.st_size & 0xFFFFFFFF
        parts = [MAGIC_NUMBER, bytes(4), *[one.to_bytes(4, "little") for one in times]]
        if data[:16] == b"".join(parts):
            code: CodeType = loads(memoryview(data)[16:])  # noqa: S302 - as Python does
            if code.co_filename == self.path:
                return code
        return super().get_code(fullname)


_COMPILED = (
    "" if sys.flags.optimize or sys.pycache_prefix else f".{sys.implementation.cache_tag}.pyc"
)
"""End of the names of compiled modules; empty if Python has to compute these names."""
