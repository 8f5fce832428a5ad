"""Batch of a station: the files by which its page gives values to a session and finds it again.

The station holds a lock on the file of the batch and hands it to the session, so that another
station knows whether the session lives, however the first one ended.
"""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.core.files import READ_FILE, content, replacing

FILE: Final = "batch.json"
"""File with the values; it exists while a session may read them, and only its user can read it."""

_SESSION: Final = "session.json"
_ABORTS: Final = "aborts.json"
_LOCK: Final = "lock"
_MAX_FILE: Final = 16 << 20


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Values that the page of a station gives to a session.

    Attributes:
        values: The values of inputs by name.
        operator: The name of the operator.
    """

    values: dict[str, Any] = {}
    operator: str = ""


class BatchSession(msgspec.Struct, frozen=True):
    """Session of a batch: its process, and the id of its run."""

    pid: int
    run: str


def station_folder(runs: Path, recipe: str) -> Path:
    """Return the folder of the station of a recipe.

    Args:
        runs: The folder of the runs.
        recipe: The id of the recipe.
    """
    return runs.parent / "station" / hashlib.sha256(recipe.encode()).hexdigest()[:12]


def write_batch(folder: Path, batch: Batch) -> int:
    """Write the file of a batch; return its locked descriptor.

    Raises:
        OSError: The file cannot be written.
    """
    _discard(folder / _SESSION)
    _discard(folder / _ABORTS)
    with replacing(folder / FILE, 0o600) as file:
        file.write(msgspec.json.encode(batch))
    import fcntl  # not on Windows, where the verbs for recorded runs work

    locked = os.open(folder / FILE, READ_FILE)
    fcntl.flock(locked, fcntl.LOCK_EX)
    return locked


def read_batch(path: Path) -> Batch:
    """Return the values in the file of a batch.

    Raises:
        ValueError: It cannot be read.
    """
    try:
        return msgspec.json.decode(content(path, _MAX_FILE), type=Batch)
    except OSError as error:
        raise ValueError(f"the values of the station cannot be read: {error.strerror}") from None


def discard_batch(folder: Path) -> None:
    """Delete the values of a batch, which may be secret."""
    _discard(folder / FILE)


def is_held(folder: Path) -> bool:
    """Return True if a session holds the batch of a station."""
    locked = _locked(folder / FILE)
    if locked is not None:
        os.close(locked)
    return locked is None and (folder / FILE).exists()


def claim(folder: Path) -> int | None:
    """Return the descriptor that makes this process the station; None if another one lives."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / _LOCK).touch(0o600)
    return _locked(folder / _LOCK)


def write_aborts(folder: Path, aborts: dict[str, str]) -> None:
    """Write which units of the batch are aborted, each with the operator who pressed the button."""
    with replacing(folder / _ABORTS, 0o600) as file:
        file.write(msgspec.json.encode(aborts))


def aborts_in(folder: Path) -> dict[str, str]:
    """Return which units of the last batch were aborted, each with the name of the operator."""
    try:
        return msgspec.json.decode(content(folder / _ABORTS, _MAX_FILE), type=dict[str, str])
    except (OSError, ValueError):
        return {}


def note_session(folder: Path, session: BatchSession) -> None:
    """Write which process and which run a batch has."""
    with replacing(folder / _SESSION, 0o600) as file:
        file.write(msgspec.json.encode(session))


def session_in(folder: Path) -> BatchSession | None:
    """Return the session of the last batch; None if it has not noted itself."""
    try:
        return msgspec.json.decode(content(folder / _SESSION, _MAX_FILE), type=BatchSession)
    except (OSError, ValueError):
        return None


def _locked(path: Path) -> int | None:
    """Return a descriptor that holds the lock of a file; None if another holds it."""
    import fcntl

    try:
        file = os.open(path, READ_FILE)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(file)
        return None
    return file


def _discard(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
