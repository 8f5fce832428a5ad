"""Free TCP ports by name: the same for the same name in a run, in all its processes."""

import contextlib
import os
import socket
from pathlib import Path
from urllib.parse import quote


def port(folder: Path, name: str) -> int:
    """Return the port of a name; a free one where nobody asked for it before.

    Args:
        folder: The folder of the run.
        name: The name.
    """
    kept = folder / "ports" / quote(name, safe="")
    kept.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        return int(kept.read_text())
    number = _free({int(each.read_text()) for each in kept.parent.glob("[!.]*")})
    draft = kept.parent / f".{os.getpid()}.{kept.name}"
    draft.write_text(str(number))
    try:
        os.link(draft, kept)  # the first who does decides
    except FileExistsError:
        return int(kept.read_text())
    finally:
        draft.unlink()
    return number


def _free(taken: set[int]) -> int:
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            number: int = probe.getsockname()[1]
        if number not in taken:
            return number
