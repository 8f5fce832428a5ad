"""How a pipeline installs a project with this package."""

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pytest_orchestrator.cli.project import Project

_REQUIREMENTS: Final = ("requirements.txt", "requirements-test.txt", "requirements-dev.txt")
_EXTRAS: Final = {"http": "http", "scpi": "visa", "serial": "serial"}
"""The extra that a type of steps needs."""


def install_command(root: Path, extras: Collection[str] = ()) -> str:
    """Return the command that installs a project and this package.

    Args:
        root: The folder of the project. Its extras and dependency groups are left to the user.
        extras: The extras of this package that the recipes need.
    """
    words = [f"-r {name}" for name in _REQUIREMENTS if (root / name).is_file()]
    settings = root / "pyproject.toml"
    is_built = settings.is_file() and b"[build-system]" in settings.read_bytes()
    words += ["."] if is_built or (root / "setup.py").is_file() else []
    own = f"'pytest-orchestrator[{','.join(sorted(extras))}]'" if extras else "pytest-orchestrator"
    return " ".join(["python -m pip install", *words, own])


def needed_extras(about: "Project") -> set[str]:
    """Return the extras of this package that a pipeline needs: of its checks, recipes, station.

    The recipes are not loaded, which they cannot be where an extra of a step is missing.
    """
    from pytest_orchestrator.cli.project import Recipes
    from pytest_orchestrator.recipe.analysis.dependencies import mentions

    steps, _ = mentions(about.recipes(()), about.root)
    found = {"validate", *(_EXTRAS[one.type] for one in steps if one.type in _EXTRAS)}
    station = Recipes(about).station
    if getattr(station, "instruments", None):  # neither missing nor with errors
        found.add("visa")
    return found
