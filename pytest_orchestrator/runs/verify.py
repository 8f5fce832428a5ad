"""Verification of a run folder against its journal.

The last line of a journal seals it: it has the number of lines and the digest of every file, and
each line proves the lines before it. A user who can write the folder can rebuild all of it, with
another seal; only a copy of the seal that is stored elsewhere shows that.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from pytest_orchestrator.core.events import RunFinished
from pytest_orchestrator.runs.folder import RunFile, RunFiles
from pytest_orchestrator.runs.journal.reader import Reading, State, read_journal
from pytest_orchestrator.runs.journal.writer import NAME, digest_of, files_of

_VIEWS: Final = frozenset(
    {"report.html", "certificate.html", "certificates", "assets", "context.json"}
)
"""Files that can be rebuilt from the journal at any time, so they may be newer than the seal."""


class Flaw(NamedTuple):
    """One difference between a run and its seal.

    Attributes:
        where: A path within the run folder, or ``journal.jsonl:12`` for a line.
        why: Description of the difference.
    """

    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.why}"


class Verification(NamedTuple):
    """Result of a verification.

    Attributes:
        run: Id of the run.
        state: State of its journal.
        lines: Number of journal lines that are unchanged.
        files: Number of files that the seal covers.
        seal: Hash of the last unchanged line.
        flaws: The differences: first those of the journal, then those of files by path.
        signed_by: Id of the key that was given and has signed a bundle; without a key, the ids
            that the bundle has, which prove nothing.
        is_signature_checked: True if a key was given, and has signed the bundle.
    """

    run: str
    state: State
    lines: int
    files: int
    seal: str
    flaws: tuple[Flaw, ...]
    signed_by: tuple[str, ...] = ()
    is_signature_checked: bool = False

    @property
    def holds(self) -> bool:
        """True if the run is complete and unchanged."""
        return self.state == "finished" and not self.flaws


def verify_folder(folder: Path) -> Verification:
    """Verify the folder of a run against its journal.

    Args:
        folder: The folder of the run.

    Returns:
        The result; if the journal is not sealed, nothing proves the files, so none is read.
    """
    try:
        reading = read_journal(folder / NAME)
    except OSError as error:
        gone = isinstance(error, FileNotFoundError)
        why = "it is gone" if gone else f"it cannot be read: {error.strerror}"
        return Verification(folder.name, "damaged", 0, 0, "", (Flaw(NAME, why),))
    return verify_reading(folder, reading)


def verify_reading(folder: Path, reading: Reading) -> Verification:
    """Verify the folder of a run against its journal, which was read before.

    Args:
        folder: The folder of the run.
        reading: Its journal.

    Returns:
        The result, as that of `verify_folder`.
    """
    sealed = _sealed(reading)
    flaws = [*_of_the_journal(reading)]
    if sealed is not None and not flaws:
        flaws += _of_files(folder, sealed)
    return Verification(
        folder.name,
        reading.state,
        reading.chain.length,
        len(sealed or ()),
        reading.chain.hash,
        tuple(flaws),
    )


def _sealed(reading: Reading) -> Mapping[str, tuple[int, str]] | None:
    last = reading.entries[-1].event if reading.entries else None
    return last.files if isinstance(last, RunFinished) else None


def _of_the_journal(reading: Reading) -> Iterator[Flaw]:
    if reading.damage is not None:
        why = str(reading.damage).partition(": ")[2]
        yield Flaw(f"{NAME}:{reading.damage.line}", why)


def _of_files(folder: Path, sealed: Mapping[str, tuple[int, str]]) -> Iterator[Flaw]:
    files = RunFiles(folder)
    present = {name for name in files_of(folder) if name.partition("/")[0] not in _VIEWS}
    for name in sorted(present | sealed.keys()):
        if name not in sealed:
            yield Flaw(name, "it came after the run had ended")
            continue
        path = files.at(RunFile(name))
        why = _difference(path, *sealed[name]) if path else "it is no file of this run, not opened"
        if why:
            yield Flaw(name, why)


def _difference(path: Path, size: int, sha256: str) -> str:
    """Describe how a file differs from its size and digest; empty if it does not."""
    try:
        now = digest_of(path)
    except FileNotFoundError:
        return "it is gone"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    if now == (size, sha256):
        return ""
    return "it was changed" if now[0] == size else f"it has {now[0]} bytes, and had {size}"
