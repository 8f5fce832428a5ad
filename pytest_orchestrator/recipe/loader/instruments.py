"""Check of names of instruments against those of the station."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pytest_orchestrator.core.location import Place
from pytest_orchestrator.extending import KeyPath
from pytest_orchestrator.recipe.fields.extensions import Extensions
from pytest_orchestrator.recipe.problems import Problems, quoted

_LISTED: Final = 10
"""Most names that a message lists."""


class InstrumentNames:
    """Check of the names of instruments in one file.

    Args:
        known: The names that the station has.
        problems: Receives the problems.
    """

    def __init__(self, known: Extensions, problems: Problems) -> None:
        self._known, self._problems = known, problems

    def check(self, name: str, place: Place, title: str, where: str) -> None:
        """Report a name that is no instrument of the station.

        Args:
            name: The name.
            place: Its place in the file.
            title: The value that has the name, as messages show it, such as ``'instrument'``.
            where: The step, as in `Reading`; may be empty.
        """
        names = self._known.instruments
        if names is None:
            if not self._known.has_broken_station:
                tail = f" is {quoted(name)}, and the project has no station file"
                hint = "station.yaml, not .yml, at the rootdir, or --recipe-station FILE"
                self._problems.add(place, title, where, tail, hint=hint)
        elif name not in names:
            tail = f" is {quoted(name)}, which is no instrument of the station"
            hint = self._problems.suggest(name, names) or _listed(names)
            self._problems.add(place, title, where, tail, hint=hint)


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:_LISTED], *(["..."] if len(names) > _LISTED else [])]
    return f"it has {', '.join(shown)}" if shown else "it has none"


def path_of(name: str, keys: Mapping[str, Any]) -> KeyPath:
    """Return the key path of the first value of a step that has a name; ``()`` if none has it.

    Args:
        name: The name.
        keys: The keys of the step, as JSON values.
    """
    return next((path for path, value in _values(keys, ()) if value == name), ())


def _values(value: Any, path: KeyPath) -> "list[tuple[KeyPath, Any]]":
    """Return all scalars in a value, each with its key path, in the order of the file."""
    if isinstance(value, Mapping):
        parts: Any = value.items()
    elif isinstance(value, list | tuple):
        parts = enumerate(value)
    else:
        return [(path, value)]
    return [found for key, one in parts for found in _values(one, (*path, key))]
