"""The files of a project, past the folders that pytest passes by as well."""

import os
from collections.abc import Iterator
from pathlib import Path

_PASSED_BY = frozenset(
    {"_darcs", "build", "CVS", "dist", "node_modules", "venv", "__pycache__", "{arch}"}
)


def files_below(folder: Path) -> Iterator[Path]:
    """Give the files below a folder, in order.

    Args:
        folder: Where to begin; hidden folders below it and virtual environments are left out.
    """
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _PASSED_BY
            and not Path(place, name, "pyvenv.cfg").exists()
        )
        yield from (Path(place, name) for name in sorted(names))
