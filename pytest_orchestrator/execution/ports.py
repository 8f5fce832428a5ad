"""Free TCP ports by name: the same for the same name in a run, in all its processes."""

import contextlib
import fcntl
import hashlib
import os
import socket
from pathlib import Path


def port(folder: Path, name: str) -> int:
    """Return the port of a name; a free one where nobody asked for it before.

    Args:
        folder: The folder of the run.
        name: The name, any text.
    """
    ports = folder / "ports"
    kept = ports / hashlib.sha256(name.encode()).hexdigest()
    # For this user alone: whoever can open the lock can hold it, and all would wait.
    ports.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (ports / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with contextlib.suppress(FileNotFoundError):
            return int(kept.read_text())
        number = _free({int(each.read_text()) for each in ports.glob("[!.]*")})
        draft = ports / ".draft"
        draft.write_text(str(number))
        os.replace(draft, kept)
    return number


def _free(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            number: int = probe.getsockname()[1]
        if number not in taken:
            return number
