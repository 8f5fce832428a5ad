"""Settings that name the station file: option, environment variable, ini key, default name.

This module imports pytest only inside functions: the command line reads settings without pytest.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from pytest_orchestrator.plugin.options.values import STATION_DEFAULT, STATION_VARIABLE, text_of

if TYPE_CHECKING:
    import pytest

    from pytest_orchestrator.recipe import RecipeError
    from pytest_orchestrator.recipe.station.model import Station
    from pytest_orchestrator.recipe.variables import ExternalValue

OPTION: Final = "--recipe-station"
INI: Final = "recipe_station"
_INI_KEY: Final = f"ini key {INI}"
ORIGIN: Final = "station"
"""Origin of the values of vars from the station file."""
NONE: Final = "none"
"""Value of a setting for a project without a station, even if it has a file of the default name."""


class StationFile(NamedTuple):
    """The station file of a project.

    Attributes:
        path: The file.
        setting: The setting that names it; empty for the file of the default name.
        problem: The reason why it cannot be read, with the setting and the cure; empty if it
            exists.
    """

    path: Path
    setting: str = ""
    problem: str = ""


class HasStation(Protocol):
    """Interface of the state of a session that has the station."""

    @property
    def station_file(self) -> StationFile | None:
        """The station file."""
        ...

    @property
    def station(self) -> "Station | None":
        """The content of the station file."""
        ...


def find_station(
    option: str | None,
    ini: str,
    environ: Mapping[str, str],
    here: Path,
    root: Path,
    others: Iterable[str] = (),
) -> StationFile | None:
    """Return the station file of a project; None if it has none.

    Args:
        option: The value of ``--recipe-station``; None without the option.
        ini: The value of the ini key; empty if it is not set.
        environ: The environment variables.
        here: The folder to which paths of the option and of the variable are relative.
        root: The rootdir, to which the path of the ini key is relative.
        others: Files with another purpose, relative to `here`; the default name does not make one
            of them the station file.
    """
    variable = environ.get(STATION_VARIABLE, "").strip()
    for setting, text, folder in (
        (OPTION, None if option is None else option.strip(), here),
        (f"environment variable {STATION_VARIABLE}", variable or None, here),
        (_INI_KEY, ini or None, root),
    ):
        if text is not None:
            return None if text == NONE else _named(setting, text, folder)
    path = root / STATION_DEFAULT
    is_other = any(Path(os.path.normpath(here / other)) == path for other in others)
    return StationFile(path) if path.is_file() and not is_other else None


def _named(setting: str, text: str, folder: Path) -> StationFile:
    # Methods of Path raise an error if a name is too long, or the home is not known.
    path = Path(os.path.normpath(folder / os.path.expanduser(text)))  # noqa: PTH111
    if os.path.isfile(path):
        return StationFile(path, setting)
    from pytest_orchestrator.core.suggestions import nearest

    if os.path.isdir(path):
        problem = f"{setting}: {text!r} is a folder, should be a station file"
        return StationFile(path, setting, problem)
    beside = [one.name for one in path.parent.iterdir()] if os.path.isdir(path.parent) else []
    hint = nearest(path.name, sorted(beside))
    return StationFile(path, setting, f"{setting}: there is no file {text!r}{hint}")


def station_file(config: "pytest.Config") -> StationFile | None:
    """Return the station file of a session; None if it has none."""
    option, here = config.getoption("recipe_station"), config.invocation_params.dir
    ini, others = text_of(config, INI), config.getoption("recipe_vars_file")
    return find_station(option, ini, os.environ, here, config.rootpath, others)


def station_of(file: StationFile, root: Path, max_bytes: int) -> "Station":
    """Read a station file.

    Args:
        file: The file.
        root: The rootdir.
        max_bytes: A larger file is refused before it is read.

    Raises:
        RecipeError: The file does not exist or has errors.
    """
    from pytest_orchestrator.core.location import Place
    from pytest_orchestrator.recipe import Problem, RecipeError
    from pytest_orchestrator.recipe.station.reader import load_station

    if file.problem:
        raise RecipeError([Problem(Place(1, 1), file.problem)], _shown(file.path, root))
    return load_station(file.path, root, max_bytes)


def check_station(state: "HasStation") -> None:
    """Read a station file that option or ini key name, so that its errors are usage errors.

    Args:
        state: The state of the session.

    Raises:
        pytest.UsageError: The file does not exist or has errors.
    """
    found = state.station_file
    if found is None or found.setting not in (OPTION, _INI_KEY):
        # Read with the first recipe: a session without recipes needs no station.
        return
    import pytest

    from pytest_orchestrator.recipe import RecipeError

    if found.problem:
        raise pytest.UsageError(found.problem)
    try:
        _ = state.station
    except RecipeError as error:
        raise pytest.UsageError(f"{found.setting}: {error}") from None


def repeated_error(error: "RecipeError", first: Path, path: Path, root: Path) -> "RecipeError":
    """Return the error of a recipe after the errors of the station were reported at another one.

    Args:
        error: The errors of the station.
        first: The recipe at which they were reported.
        path: The recipe.
        root: The rootdir.
    """
    from pytest_orchestrator.core.location import Place
    from pytest_orchestrator.recipe import Problem, RecipeError

    head = f"the station file {error.path} has errors, reported at {_shown(first, root)}"
    return RecipeError([Problem(Place(1, 1), head)], _shown(path, root))


def _shown(path: Path, root: Path) -> str:
    return (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()


def station_vars(station: "Station") -> "dict[str, ExternalValue]":
    """Return the values of vars from a station file, by name."""
    from pytest_orchestrator.recipe.variables import ExternalValue

    return {name: ExternalValue(value, ORIGIN) for name, value in station.vars.items()}
