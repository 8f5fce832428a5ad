"""Journals that may have debts, found by their bytes.

It imports the standard library alone: a session without recipes looks for debts too.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

INSTRUMENTS: Final = "instruments"
"""Name of the folder of the journals that commands on instruments write, beside the runs."""

_JOURNAL: Final = "journal.jsonl"
# Searched as bytes, no event is decoded: each session asks this of all unsealed journals.
_OF_DEBTS: Final = (
    b'"event":"instrument_opened"',
    b'"event":"instrument_safe"',
    b'"event":"debt_forgiven"',
)
_SEAL: Final = b'"event":"run_finished"'
_SEALED_DEBTS: Final = b'"debts":'
_END: Final = 1 << 14
"""Bytes that are read at the end of a journal first: the last line of most runs is shorter."""


def beside(base: Path, name: str) -> Path:
    """Return a folder beside the folder of the runs.

    Outside of ``.orchestrator`` it has the name of that folder in its own, because other folders
    may be there: those of another project, or one that is called history.

    Args:
        base: The folder of the runs.
        name: The name within ``.orchestrator``.
    """
    base = base.absolute()
    is_default = (base.parent.name, base.name) == (".orchestrator", "runs")
    return base.parent / (name if is_default else f"{base.name}-{name}")


def may_have_debts(base: Path) -> bool:
    """Return True if a run of a project, or a command on an instrument, may owe a safe state.

    Args:
        base: The folder of the runs.
    """
    return any(any(folders_with_debts(one)) for one in (base, beside(base, INSTRUMENTS)))


def folders_with_debts(base: Path) -> Iterator[Path]:
    """Yield the folders of all runs that may owe a safe state, or have settled a debt.

    Args:
        base: The folder of the runs, which may not exist.
    """
    folders = base.iterdir() if base.is_dir() else ()
    yield from filter(_may_have_debts, sorted(folders, reverse=True))


def _may_have_debts(folder: Path) -> bool:
    """Return True if a journal may have debts; reads only its end if it is sealed."""
    try:
        fd = os.open(f"{folder}/{_JOURNAL}", os.O_RDONLY)  # a file object takes twice as long
    except OSError:
        return False
    try:
        size, wanted, data = os.fstat(fd).st_size, 0, b""
        while b"\n" not in data and wanted < size:  # ends also if the file becomes shorter
            wanted = max(_END, 16 * wanted)
            data = os.pread(fd, wanted, max(0, size - wanted)).removesuffix(b"\n")
        last = data.rpartition(b"\n")[2]
        if _SEAL in last:
            return _SEALED_DEBTS in last
        data = os.pread(fd, size, 0)
    except OSError:
        return False
    finally:
        os.close(fd)
    return any(mark in data for mark in _OF_DEBTS)
