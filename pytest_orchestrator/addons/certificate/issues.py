"""Numbers of the certificates of a run: each issue gets the next one and names what it replaces.

Each certificate that was issued is a file in the folder `certificates` of the run. The sealed
record does not contain it. A number is taken by creating its file, so two processes never get the
same one.
"""

from datetime import UTC, datetime
from itertools import count
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


def issue(folder: Path, recipe: str) -> Issue:
    """Issue a certificate of a recipe in a run.

    Args:
        folder: The folder of the run.
        recipe: Key of the recipe.

    Raises:
        OSError: Its file cannot be written.
    """
    (folder / _FOLDER).mkdir(exist_ok=True)
    last, now = 0, datetime.now(UTC).isoformat()
    for number in count(1):
        path = folder / _FOLDER / f"{number}.json"
        try:
            with path.open("xb") as file:
                file.write(msgspec.json.encode(_Issued(recipe, now)))
        except FileExistsError:
            last = number if _recipe(path) == recipe else last
        else:
            break
    return Issue(number, last, now)


def _recipe(path: Path) -> str:
    """Return the recipe of an issue; empty if its file is damaged or being written."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Issued).recipe
    except (OSError, msgspec.MsgspecError):
        return ""
