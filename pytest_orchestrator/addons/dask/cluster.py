"""Address of a Dask scheduler, as users write it; parsed without importing Dask."""

import re
from pathlib import Path
from typing import Final

import msgspec

from pytest_orchestrator.execution.remote.addon import content

SUCH: Final = "write tcp://HOST:8786, the path of a scheduler file, or local:2"
"""Hint in the message about a text that names no scheduler."""

_ADDRESS: Final = re.compile(
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*)://)?(?P<host>\[[0-9a-fA-F:.]+\]|[^\s/:\[\]]+):(?P<port>[0-9]{1,5})"
)
_SCHEMES: Final = ("tcp", "tls", "ws", "wss", "ucx")
_MOST_WORKERS: Final = 1000


class Scheduler(msgspec.Struct, frozen=True):
    """A Dask scheduler; exactly one of the attributes is not None.

    Attributes:
        address: The address on which it listens, such as ``tcp://bench-1:8786``.
        file: The scheduler file, to which the scheduler has written its address.
        workers: The number of workers to start on this machine, with their own scheduler.
    """

    address: str | None = None
    file: Path | None = None
    workers: int | None = None

    def __str__(self) -> str:
        """Return the text by which users name this scheduler."""
        if self.workers is not None:
            return f"local:{self.workers}"
        return self.address or str(self.file)


def parsed(text: str, base: Path) -> Scheduler:
    """Parse the text by which a user names a scheduler.

    Args:
        text: An address, the path of a scheduler file, or ``local:N``.
        base: The folder that a relative path starts from.

    Raises:
        ValueError: The text names no scheduler; the message says why and what to write.
    """
    if text == "local" or text.startswith("local:"):
        number = text.partition(":")[2]
        if not re.fullmatch(r"[1-9][0-9]{0,3}", number) or int(number) > _MOST_WORKERS:
            raise ValueError(f"{text!r} is no number of workers; write local:2, at most local:1000")
        return Scheduler(workers=int(number))
    found = _ADDRESS.fullmatch(text)
    if found is not None:
        scheme = found["scheme"] or "tcp"
        if scheme not in _SCHEMES or not 0 < int(found["port"]) < 65536:
            raise ValueError(f"{text!r} is no address of a scheduler; {SUCH}")
        return Scheduler(address=f"{scheme}://{found['host']}:{found['port']}")
    if not text or "://" in text:
        has_no_port = re.fullmatch(r"[a-z]+://[^\s/:]+/?", text)
        cure = f"write {text.rstrip('/')}:8786" if has_no_port else SUCH
        raise ValueError(f"{text!r} is no address of a scheduler; {cure}")
    return Scheduler(file=_file(text, base))


def _file(text: str, base: Path) -> Path:
    """Return the path of a scheduler file, after checking that the file contains an address.

    Raises:
        ValueError: The file is missing or is no scheduler file.
    """
    path = base / text
    try:
        value = msgspec.json.decode(content(path))
    except FileNotFoundError:
        raise ValueError(
            f"{text!r} is no address, and no such file exists; {SUCH}. "
            f"A file is written by: dask scheduler --scheduler-file {text}"
        ) from None
    except OSError as error:
        raise ValueError(f"{text!r} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("address"), str):
        raise ValueError(
            f"{text!r} is no scheduler file: it has no JSON with an address. "
            f"One is written by: dask scheduler --scheduler-file {text}"
        )
    return path
