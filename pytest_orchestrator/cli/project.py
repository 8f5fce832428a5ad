"""Project of a command: rootdir, settings, recipes.

pytest itself takes as long to import as all else that a command does.
"""

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.core import files
from pytest_orchestrator.plugin.collection.file_matching import claimed
from pytest_orchestrator.plugin.options.quantities import SIZES, quantity

if TYPE_CHECKING:
    from pytest_orchestrator.recipe import Extensions, Recipe, RecipeError
    from pytest_orchestrator.scriptlets.model import Inventory

_FILES = (
    "pytest.toml",
    ".pytest.toml",
    "pytest.ini",
    ".pytest.ini",
    "pyproject.toml",
    "tox.ini",
    "setup.cfg",
)
"""Files that settings of pytest may be in, the strongest first."""

_MAX_SIZE = "1MiB"


class Project(NamedTuple):
    """A project.

    Attributes:
        root: The rootdir.
        settings: The ini keys that are given, as their file has them.
        file: The file that has them; None where there is none.
    """

    root: Path
    settings: Mapping[str, Any]
    file: Path | None = None

    @property
    def max_bytes(self) -> int:
        """The largest size of a recipe."""
        text = str(self.settings.get("recipe_max_size", _MAX_SIZE))
        try:
            return int(quantity(text, SIZES))
        except ValueError as error:
            raise UsageError(f"ini key recipe_max_size: {error}") from None

    @property
    def shell(self) -> str | tuple[str, ...] | None:
        """What runs command lines of recipes that name no shell; None where nothing says so."""
        from pytest_orchestrator.recipe.model import key_types

        text = str(self.settings.get("recipe_shell", "")).strip()
        try:
            return key_types.shell_setting(text) if text else None
        except ValueError as error:
            raise UsageError(f"ini key recipe_shell: {text!r} {error}") from None

    def shown(self, path: Path) -> str:
        """Return a path as messages show it: relative to the rootdir where it is below."""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def listed(self, key: str) -> list[str]:
        """Return the value of an ini key that is a list of words."""
        value = self.settings.get(key, [])
        return shlex.split(value) if isinstance(value, str) else list(map(str, value))

    def recipes(self, paths: Sequence[Path]) -> Iterator[Path]:
        """Return the files that must be recipes or may be, each once.

        Args:
            paths: Files and folders that are asked for; all of the project where there is none.
        """
        asked = _absolute(paths)
        known = asked or [self.root / name for name in self.listed("testpaths")]
        patterns = self.listed("recipe_files")
        for path, found in claimed(asked or [self.root], self.root, patterns, known):
            if found == "must be" or _looks_so(path):
                yield path

    def inventory(self) -> "Inventory":
        """Return its scriptlets."""
        from pytest_orchestrator.scriptlets.discovery import take

        folders = [self.root / name for name in self.listed("pythonpath")]
        return take(self.root, self.recipes(()), folders)


def _looks_so(path: Path) -> bool:
    from pytest_orchestrator.recipe.parsing.source import looks_like_recipe

    return looks_like_recipe(path)


def project(paths: Sequence[Path] = ()) -> Project:
    """Find the project that some paths, or else the working directory, belong to."""
    here = Path.cwd()
    ancestor = _ancestor(_absolute(paths)) if paths else here
    return (
        configured(ancestor)
        or _set_up(ancestor)
        or (ancestor != here and configured(here))
        or Project(_ancestor([here, ancestor]), {})
    )


def _absolute(paths: Sequence[Path]) -> list[Path]:
    return [Path(os.path.normpath(Path.cwd() / path)) for path in paths]


def _ancestor(paths: Sequence[Path]) -> Path:
    common = Path(os.path.commonpath(paths))
    return common if common.is_dir() else common.parent


def configured(folder: Path) -> Project | None:
    """Find the project that a folder belongs to by its files of settings.

    Returns:
        The project of the nearest file of settings; of any pyproject.toml without one;
        None where there is neither.
    """
    spare = None
    for place in (folder, *folder.parents):
        for name in _FILES:
            path = place / name
            if path.is_file():
                settings = _settings(path)
                if settings is not None:
                    return Project(place, settings, path)
                if name == "pyproject.toml" and spare is None:
                    spare = Project(place, {})
    return spare


def _set_up(folder: Path) -> Project | None:
    places = (place for place in (folder, *folder.parents) if (place / "setup.py").is_file())
    return next((Project(place, {}) for place in places), None)


def _settings(path: Path) -> Mapping[str, Any] | None:
    """Return the settings of pytest in a file; None where it is not about pytest."""
    try:
        text = files.text(path)
        return _of_toml(text, path.name) if path.suffix == ".toml" else _of_ini(text, path.name)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


def _of_toml(text: str, name: str) -> Mapping[str, Any] | None:
    import tomllib

    document = tomllib.loads(text)
    if name != "pyproject.toml":
        found: Mapping[str, Any] = document.get("pytest", {})
        return found
    own: Mapping[str, Any] | None = document.get("tool", {}).get("pytest")
    return own.get("ini_options", own) if own is not None else None


def _of_ini(text: str, name: str) -> Mapping[str, Any] | None:
    import configparser

    parser = configparser.ConfigParser(interpolation=None, strict=False, allow_no_value=True)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ValueError(error) from None
    section = "tool:pytest" if name == "setup.cfg" else "pytest"
    if parser.has_section(section):
        return dict(parser[section])
    return {} if name in ("pytest.ini", ".pytest.ini") else None


_OF_PLUGINS = ("unknown type", "unknown criterion")


class Recipes:
    """Reads recipes.

    Args:
        about: Their project.
    """

    def __init__(self, about: Project) -> None:

        self._about = about
        self._read: dict[Path, Recipe | RecipeError] = {}

    def at(self, path: Path) -> "Recipe | RecipeError":
        """Return a recipe, or what is wrong with it."""
        from pytest_orchestrator.recipe import BUILT_IN, RecipeError

        if path not in self._read:
            found = self._loaded(path, BUILT_IN.with_shell(self._about.shell))
            # Asking pytest for its plugins takes longer than most commands; few recipes need it.
            if isinstance(found, RecipeError) and _may_be_of_plugins(found):
                found = self._loaded(path, self._extensions)
            self._read[path] = found
        return self._read[path]

    def good(self, path: Path) -> "Recipe | None":
        """Return a recipe; None where it is no good one."""
        from pytest_orchestrator.recipe import RecipeError

        found = self.at(path)
        return None if isinstance(found, RecipeError) else found

    def _loaded(self, path: Path, known: "Extensions") -> "Recipe | RecipeError":
        from pytest_orchestrator.recipe import RecipeError, load

        about = self._about
        try:
            return load(path, root=about.root, max_bytes=about.max_bytes, known=known)
        except RecipeError as error:
            return error

    @cached_property
    def _extensions(self) -> "Extensions":
        return extensions_of(self._about)


def extensions_of(about: Project) -> "Extensions":
    """Return what the plugins of a project bring.

    Raises:
        Mistake: That cannot be told.
    """
    from pytest_orchestrator.plugin.extensions import project_extensions

    try:
        return project_extensions(about.root)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _may_be_of_plugins(error: "RecipeError") -> bool:
    return any(
        problem.head.startswith(_OF_PLUGINS)
        or (problem.cause is not None and _may_be_of_plugins(problem.cause))
        for problem in error.problems
    )
