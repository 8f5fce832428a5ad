"""The modules of this package are imported without pytest's rewriting of assertions.

pytest looks at each module of a plugin's distribution to rewrite its assertions; there are
none here, and looking costs a third of what the first recipe costs to start.
"""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_OURS = "pytest_orchestrator."


class Finder:
    """Finds what is ours as Python itself would."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a module of this package is, and nothing for any other."""
        return PathFinder.find_spec(name, path, target) if name.startswith(_OURS) else None


def install() -> None:
    """Ask this finder before pytest's; once in a process."""
    if Finder not in sys.meta_path:
        sys.meta_path.insert(0, Finder)
