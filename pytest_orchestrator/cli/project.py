"""Project that a command works on: rootdir, settings, recipes, runs.

Settings are read without pytest: its import alone would take as long as a whole command.
"""

import argparse
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pytest_orchestrator.cli.arguments import UsageError
from pytest_orchestrator.plugin.collection.file_matching import asked_folders, claimed, not_claimed
from pytest_orchestrator.plugin.options.declared import DEFAULTS
from pytest_orchestrator.plugin.options.values import as_text, file_settings, read

if TYPE_CHECKING:
    from pytest_orchestrator.plugin.options.station import StationFile
    from pytest_orchestrator.recipe import Extensions, Recipe, RecipeError
    from pytest_orchestrator.recipe.station.model import Station
    from pytest_orchestrator.reports.head.look import Look
    from pytest_orchestrator.runs.record import RunRecord
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
"""Files that may contain settings of pytest, in the order of their precedence."""


class Project(NamedTuple):
    """The project that a command works on: rootdir and settings of pytest.

    Attributes:
        root: The rootdir.
        settings: The ini keys that are set, with the values of their file.
        file: The file of settings; None if the project has none.
    """

    root: Path
    settings: Mapping[str, Any]
    file: Path | None = None

    def text(self, key: str) -> str:
        """Return the text of an ini key, or its default."""
        return as_text(self.settings.get(key, DEFAULTS[key]))

    def value(self, key: str) -> Any:
        """Return the value of an ini key as a session reads it.

        Raises:
            UsageError: The value is wrong.
        """
        try:
            return read(key, self.text(key), self.root)
        except ValueError as error:
            raise UsageError(str(error)) from None

    @property
    def max_bytes(self) -> int:
        """The largest accepted size of a recipe file, in bytes."""
        return int(self.value("recipe_max_size"))

    def display_path(self, path: Path) -> str:
        """Return a path as messages show it: relative to the rootdir if it is inside."""
        return (path.relative_to(self.root) if path.is_relative_to(self.root) else path).as_posix()

    def listed(self, key: str) -> list[str]:
        """Return the words of an ini key whose value is a list."""
        value = self.settings.get(key, [])
        return shlex.split(value) if isinstance(value, str) else list(map(str, value))

    def station_file(self, named: str | None = None) -> "StationFile | None":
        """Return the station file of the project as pytest finds it; None if it has none.

        Args:
            named: The value of the option ``--recipe-station``, relative to the working directory;
                None takes the one in the ini key ``addopts``, which is relative to the rootdir.
        """
        from pytest_orchestrator.plugin.options.station import NONE, OPTION, find_station

        parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
        parser.add_argument(OPTION, dest="station")
        parser.add_argument("--recipe-vars-file", dest="others", action="append", default=[])
        always = parser.parse_known_args(self.listed("addopts"))[0]
        option = named
        if named is None and always.station is not None:
            option = always.station if always.station == NONE else str(self.root / always.station)
        ini = self.text("recipe_station")
        others = [str(self.root / other) for other in always.others]
        return find_station(option, ini, os.environ, Path.cwd(), self.root, others)

    def recipes(self, paths: Sequence[Path]) -> Iterator[Path]:
        """Yield each recipe file among files and folders once; the station file is none.

        Args:
            paths: The files and folders to search; without any the whole project is searched.
        """
        from pytest_orchestrator.recipe.parsing.source import looks_like_recipe

        for path, must_be in self._claimed(paths):
            if must_be or looks_like_recipe(path):
                yield path

    def near_recipes(self, paths: Sequence[Path]) -> Iterator[str]:
        """Yield a sentence for each file that is no recipe, and would be with a small change."""
        for one, _ in self._claimed(paths):
            yield f"{self.display_path(one)} {'has no steps' if one.stat().st_size else 'is empty'}"
        folders = filter(Path.is_dir, absolute(paths) or [self.root])
        yield from not_claimed(folders, self.root, self.listed("recipe_files"))

    def _claimed(self, paths: Sequence[Path]) -> Iterator[tuple[Path, bool]]:
        """Yield each file that may be a recipe, and True if it must be one."""
        named = absolute(paths)
        starts = map(str, named) if named else self.listed("testpaths")
        folders = asked_folders(tuple(starts), self.root, self.root)
        patterns, station = self.listed("recipe_files"), self.station_file()
        for path, claim in claimed(named or [self.root], self.root, patterns, folders):
            if station is None or path != station.path:
                yield path, claim == "must be"

    def inventory(self) -> "Inventory":
        """Return the scriptlets of the project."""
        from pytest_orchestrator.scriptlets.discovery import discover

        folders = [self.root / name for name in self.listed("pythonpath")]
        return discover(self.root, self.recipes(()), folders)


def project(paths: Sequence[Path] = ()) -> Project:
    """Return the project that contains the paths, or the working directory without paths."""
    here = Path.cwd()
    ancestor = _ancestor(absolute(paths)) if paths else here
    return (
        find_project(ancestor)
        or _set_up(ancestor)
        or (ancestor != here and find_project(here))
        or Project(_ancestor([here, ancestor]), {})
    )


def absolute(paths: Sequence[Path]) -> list[Path]:
    """Return paths that are relative to the working directory as absolute ones."""
    return [Path(os.path.normpath(Path.cwd() / path)) for path in paths]


def _ancestor(paths: Sequence[Path]) -> Path:
    common = Path(os.path.commonpath(paths))
    return common if common.is_dir() else common.parent


def find_project(folder: Path) -> Project | None:
    """Find the project of a folder by the settings files in the folder and its parents.

    Returns:
        The project at the nearest file with settings of pytest; else the one at the nearest
        pyproject.toml, even without such settings; else None.
    """
    fallback = None
    for place in (folder, *folder.parents):
        for name in _FILES:
            path = place / name
            if path.is_file():
                settings = _settings(path)
                if settings is not None:
                    return Project(place, settings, path)
                if name == "pyproject.toml" and fallback is None:
                    fallback = Project(place, {})
    return fallback


def _set_up(folder: Path) -> Project | None:
    places = (place for place in (folder, *folder.parents) if (place / "setup.py").is_file())
    return next((Project(place, {}) for place in places), None)


def _settings(path: Path) -> Mapping[str, Any] | None:
    """Return the settings of pytest in a file; None if the file contains none."""
    try:
        return file_settings(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None


_PLUGIN_ERRORS = ("unknown type", "unknown criterion")
"""Errors that vanish if a plugin defines the name."""


class Recipes:
    """Cached loader of the recipes of a project.

    Args:
        about: The project.
    """

    def __init__(self, about: Project) -> None:

        self._about = about
        self._loaded: dict[Path, Recipe | RecipeError] = {}

    def at(self, path: Path) -> "Recipe | RecipeError":
        """Return the recipe in a file, or the errors in the file as one RecipeError."""
        from pytest_orchestrator.recipe import BUILT_IN, RecipeError

        if path not in self._loaded:
            settings = map(self._about.value, ("recipe_shell", "recipe_decision"))
            known = BUILT_IN.with_defaults(*settings)
            recipe = self._load(path, self._with_station(known))
            # Starting pytest for its plugins takes longer than most commands; few recipes need it.
            if isinstance(recipe, RecipeError) and _may_need_plugins(recipe):
                recipe = self._load(path, self._extensions)
            self._loaded[path] = recipe
        return self._loaded[path]

    def valid_recipe(self, path: Path) -> "Recipe | None":
        """Return the recipe in a file; None if the recipe has errors."""
        from pytest_orchestrator.recipe import RecipeError

        recipe = self.at(path)
        return None if isinstance(recipe, RecipeError) else recipe

    def _load(self, path: Path, known: "Extensions") -> "Recipe | RecipeError":
        from pytest_orchestrator.recipe import RecipeError, load

        about = self._about
        try:
            return load(path, root=about.root, max_bytes=about.max_bytes, known=known)
        except RecipeError as error:
            return error

    @cached_property
    def station(self) -> "Station | RecipeError | None":
        """The station, or the errors in its file; None if the project has none."""
        from pytest_orchestrator.recipe import RecipeError

        file = self._about.station_file()
        if file is None:
            return None
        from pytest_orchestrator.plugin.options.station import station_of

        try:
            return station_of(file, self._about.root, self._about.max_bytes)
        except RecipeError as error:
            return error

    def _with_station(self, known: "Extensions") -> "Extensions":
        """Return extensions with the instruments of the station, if these are known."""
        from pytest_orchestrator.recipe import RecipeError

        station = self.station
        if isinstance(station, RecipeError):
            return known.with_broken_station()
        instruments = None if station is None else station.instruments
        sources = None if station is None else station.sources
        return known.with_settings(instruments, sources)

    @cached_property
    def _extensions(self) -> "Extensions":
        return self._with_station(extensions_of(self._about))


def extensions_of(about: Project) -> "Extensions":
    """Return the step types and criteria that the plugins of a project define.

    Raises:
        UsageError: pytest cannot be started to collect them.
    """
    from pytest_orchestrator.plugin.extensions import project_extensions

    try:
        return project_extensions(about.root)
    except ValueError as error:
        raise UsageError(str(error)) from None


def _may_need_plugins(error: "RecipeError") -> bool:
    return any(
        problem.head.startswith(_PLUGIN_ERRORS)
        or (problem.cause is not None and _may_need_plugins(problem.cause))
        for problem in error.problems
    )


ONE_RUN = "a run: its id, the beginning of it, latest, or the path of its folder"


def runs_folder() -> Path:
    """Return the folder that contains the runs of this project.

    Raises:
        UsageError: The ini key recipe_run_dir is wrong.
    """
    folder: Path = project().value("recipe_run_dir")
    return folder


def run_folder(name: str) -> Path:
    """Return the folder of the run that an argument selects.

    Args:
        name: The argument, as `ONE_RUN` describes it.

    Raises:
        UsageError: The run does not exist.
    """
    from pytest_orchestrator.runs import lookup

    try:
        return lookup.find_run(runs_folder(), name)
    except lookup.NoRun as error:
        raise UsageError(str(error)) from None


def run_record(name: str) -> "RunRecord":
    """Return the record of the run that an argument selects.

    Raises:
        UsageError: The run does not exist.
    """
    return read_run(run_folder(name))


def read_run(folder: Path) -> "RunRecord":
    """Return the record of the run in a folder.

    Raises:
        UsageError: The folder contains no run.
    """
    from pytest_orchestrator.runs import lookup

    try:
        return lookup.load_record(folder)
    except lookup.NoRun as error:
        raise UsageError(str(error)) from None


def look() -> "Look":
    """Return title and logo of the project for certificates.

    Raises:
        UsageError: An ini key is wrong.
    """
    from pytest_orchestrator.reports.head.look import TITLE, Look

    found = brand() or Look()
    return found._replace(title=found.title or TITLE)


def brand() -> "Look | None":
    """Return the look of the project for `report.html`; None without.

    Raises:
        UsageError: An ini key is wrong.
    """
    from pytest_orchestrator.reports.head.look import LookError, brand_of

    about = project()
    try:
        return brand_of(about.root, about.text("report_title"), about.text("report_logo"))
    except LookError as error:
        raise UsageError(str(error)) from None


def declare_run(
    parser: argparse.ArgumentParser, *names: str, nargs: str | None = None, **more: Any
) -> None:
    """Declare an argument that selects a run, with shell completion of run ids."""
    options = {"help": ONE_RUN, **({"nargs": nargs} if nargs else {}), **more}
    parser.add_argument(*names, **options).completer = _ids  # type: ignore[attr-defined]


def _ids(**_: object) -> list[str]:
    from pytest_orchestrator.runs import lookup

    return ["latest", *(path.name for path in lookup.run_folders(runs_folder()))]
