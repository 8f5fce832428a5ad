"""Numbers of the certificates of a run: each issue gets the next one and names what it replaces.

Each certificate that was issued is a file in the folder `certificates` of the run. The sealed
record does not contain it. A number is taken by creating its file, so two processes never get the
same one.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec

_FOLDER = "certificates"


class Issue(NamedTuple):
    """Issue of a certificate.

    Attributes:
        number: Its number in the run, from 1.
        replaces: The number of the certificate of the same recipe that it replaces; 0 for none.
        at: The time, in ISO 8601 UTC.
    """

    number: int
    replaces: int
    at: str


class _Issued(msgspec.Struct):
    recipe: str
    at: str


def issued(folder: Path, recipes: Iterable[str]) -> list[Issue]:
    """Issue a certificate of each recipe of a run; the files of earlier ones are read once.

    Args:
        folder: The folder of the run.
        recipes: The keys of the recipes.

    Raises:
        OSError: A file cannot be written.
    """
    (folder / _FOLDER).mkdir(exist_ok=True)
    made: list[Issue] = []
    last: dict[str, int] = {}
    number, now = 0, datetime.now(UTC).isoformat()
    for recipe in recipes:
        while (earlier := _taken(folder, number := number + 1, _Issued(recipe, now))) is not None:
            last[earlier] = number
        made.append(Issue(number, last.get(recipe, 0), now))
    return made


def _taken(folder: Path, number: int, one: _Issued) -> str | None:
    """Take a number for an issue; return the recipe of the issue that already has it, or None."""
    path = folder / _FOLDER / f"{number}.json"
    try:
        with path.open("xb") as file:
            file.write(msgspec.json.encode(one))
    except FileExistsError:
        return _recipe(path)
    return None


def _recipe(path: Path) -> str:
    """Return the recipe of an issue; empty if its file is damaged or being written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Issued).recipe
    except (OSError, msgspec.MsgspecError):
        return ""
