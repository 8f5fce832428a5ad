"""Whether a bundle is what was written: each file, the manifest, and the run in it."""

import hashlib
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Final

import msgspec

from pytest_orchestrator.core.chain import JournalDamaged
from pytest_orchestrator.core.events import RunFinished
from pytest_orchestrator.run.bundle import MANIFEST, RUN, Manifest
from pytest_orchestrator.run.journal import NAME
from pytest_orchestrator.run.proof import Flaw, Proof
from pytest_orchestrator.run.reader import State, Tail

_CHUNK: Final = 1 << 20
_LARGEST: Final = 256 * 1024 * 1024
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
"""What `zipfile` raises of a file that is none, or was changed."""


def proved_bundle(path: Path) -> Proof:
    """Hold a bundle against its manifest, and the run in it against its journal.

    Args:
        path: The zip file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _proved(path.name, archive)
    except _DAMAGED as error:
        why = f"it is no bundle any more: {error}"
        return Proof(path.name, "damaged", 0, 0, "", (Flaw(path.name, why),))


def _proved(name: str, archive: zipfile.ZipFile) -> Proof:
    manifest = _manifest(archive)
    if isinstance(manifest, Flaw):
        return Proof(name, "damaged", 0, 0, "", (manifest,))
    flaws = list(_of_files(archive, manifest))
    tail, last, journal = _journal(archive)
    if journal is not None and not any(flaw.where == RUN + NAME for flaw in flaws):
        flaws.append(journal)
    if last is not None and not flaws:
        flaws += _unsealed(last.files, manifest.files)
    state: State = "damaged" if journal else "finished" if tail.finished else "interrupted"
    return Proof(
        manifest.run, state, tail.chain.length, len(manifest.files), tail.chain.hash, tuple(flaws)
    )


def _manifest(archive: zipfile.ZipFile) -> Manifest | Flaw:
    """Return the manifest, or what is wrong with it."""
    try:
        if archive.getinfo(MANIFEST).file_size > _LARGEST:
            return Flaw(MANIFEST, "it is too large to be one")
        data = archive.read(MANIFEST)
        manifest = msgspec.json.decode(data, type=Manifest)
    except KeyError:
        return Flaw(MANIFEST, "it is gone")
    except _DAMAGED as error:
        return Flaw(MANIFEST, f"it was changed: {error}")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Flaw(MANIFEST, "it was changed")
    good = manifest.digest() == manifest.sha256 and manifest.encoded() == data
    return manifest if good else Flaw(MANIFEST, "it was changed")


def _of_files(archive: zipfile.ZipFile, manifest: Manifest) -> Iterator[Flaw]:
    there = Counter(archive.namelist())
    if there.pop(MANIFEST) > 1:
        yield Flaw(MANIFEST, "it is there twice")
    for name in sorted({*there, *manifest.files}):
        if name not in manifest.files:
            yield Flaw(name, "it came later")
        elif there[name] != 1:
            yield Flaw(name, "it is there twice" if there[name] else "it is gone")
        elif why := _unlike(archive, name, *manifest.files[name]):
            yield Flaw(name, why)


def _unlike(archive: zipfile.ZipFile, name: str, size: int, digest: str) -> str:
    """Tell in which way a file is not what it was; empty where it is."""
    sha256, read = hashlib.sha256(), 0
    try:
        with archive.open(name) as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
                read += len(chunk)
                if read > size:
                    return f"it has more than the {size} bytes that it had"
    except _DAMAGED as error:
        return f"it was changed: {error}"
    if read != size:
        return f"it has {read} bytes, and had {size}"
    return "" if sha256.hexdigest() == digest else "it was changed"


def _journal(archive: zipfile.ZipFile) -> tuple[Tail, RunFinished | None, Flaw | None]:
    """Read the journal of the run, as far as it can be trusted."""
    tail = Tail()
    last: RunFinished | None = None
    try:
        with archive.open(RUN + NAME) as file:
            last = _last(tail, file)
    except KeyError:
        return tail, None, Flaw(RUN + NAME, "it is gone")
    except JournalDamaged as error:
        where = f"{RUN}{NAME}:{error.line}"
        return tail, None, Flaw(where, str(error).partition(": ")[2])
    except _DAMAGED as error:
        return tail, None, Flaw(RUN + NAME, f"it was changed: {error}")
    return tail, last, None


def _last(tail: Tail, file: IO[bytes]) -> RunFinished | None:
    last: RunFinished | None = None
    while chunk := file.read(_CHUNK):
        for entry in tail.feed(chunk):
            if isinstance(entry.event, RunFinished):
                last = entry.event
    tail.end()
    return last


def _unsealed(
    sealed: Mapping[str, tuple[int, str]], files: Mapping[str, tuple[int, str]]
) -> Iterator[Flaw]:
    """Tell of files that were changed after the run had ended, before they were bundled."""
    for name, known in sorted(sealed.items()):
        if files.get(RUN + name) != known:
            what = "was changed" if RUN + name in files else "was taken away"
            yield Flaw(RUN + name, f"it {what} after the run had ended, before it was bundled")
