"""Import of msgspec, without the modules that it imports for others.

msgspec imports `typing_extensions` for versions of Python that this package does not support, and
its inspection of types. Together they take longer to import than msgspec itself: 15 of 1,038
million instructions of a session with two shell steps.
"""

import sys
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType


def import_msgspec() -> None:
    """Import msgspec as every later ``import msgspec`` finds it; call it before the first of them.

    All of msgspec can be used as always: `msgspec.inspect` is loaded when it is used, and instead
    of `typing_extensions` msgspec uses `typing`, which has the same functions.
    """
    if "msgspec" in sys.modules:
        return
    sys.meta_path.insert(0, _Finder)
    try:
        import msgspec  # noqa: F401
    finally:
        sys.meta_path.remove(_Finder)


class _Finder:
    @staticmethod
    def find_spec(
        name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        """Return the spec of a module that is loaded later; None to ask the next finder.

        Raises:
            ModuleNotFoundError: msgspec tries to import a module that it can do without.
        """
        if name == "typing_extensions" and _importer() == "msgspec._utils":
            raise ModuleNotFoundError(name=name)
        if name != "msgspec.inspect":
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            spec.loader = LazyLoader(spec.loader)
        return spec


def _importer() -> str:
    """Return the name of the module that imports another one; other threads import modules too."""
    frame = sys._getframe(2)  # noqa: SLF001 - the public way does not exist
    while frame.f_back and frame.f_globals.get("__name__") == "importlib._bootstrap":
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))
