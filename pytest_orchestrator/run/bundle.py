"""A run as evidence: one zip file with all that it left, and a manifest of hashes.

The same run gives the same bytes. ``manifest.json`` has the size and SHA-256 of every other
file and, in ``sha256``, that of itself without that field; ``SHA256SUMS`` is for those who
have nothing but `sha256sum`.
"""

import errno
import hashlib
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator.run.folder import RunFile
from pytest_orchestrator.run.journal import NAME
from pytest_orchestrator.run.proof import files_of
from pytest_orchestrator.run.record import RunRecord
from pytest_orchestrator.run.summary import summary

SCHEMA_VERSION: Final = "1.0"
MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
EVIDENCE: Final = "evidence.json"
RUN: Final = "run/"
"""Where the folder of the run stands in a bundle."""

_CHUNK: Final = 1 << 20
_FIRST_YEAR: Final = 1980
_LARGE: Final = 1 << 31


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a bundle holds.

    Attributes:
        schema_version: Of bundles.
        run: Id of the run.
        files: Size in bytes and SHA-256 of each file but the manifest, by its path.
        sha256: Digest of the manifest with this field empty.
    """

    schema_version: str
    run: str
    files: dict[str, tuple[int, str]]
    sha256: str = ""

    def encoded(self) -> bytes:
        """Return the bytes of the file."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1) + b"\n"

    def digest(self) -> str:
        """Return what ``sha256`` must be."""
        return hashlib.sha256(msgspec.structs.replace(self, sha256="").encoded()).hexdigest()


def write(
    folder: Path, run: RunRecord, out: Path, documents: Mapping[str, bytes] | None = None
) -> int:
    """Write the evidence of a run.

    Args:
        folder: The folder of the run.
        run: What its journal tells.
        out: The zip file; one that is there is replaced once the new one is whole.
        documents: More files, by their paths in the bundle.

    Returns:
        The number of files in it.

    Raises:
        OSError: It cannot be written, or a file of the run cannot be read.
    """
    more = {EVIDENCE: _pretty(evidence(run, folder.name)), **(documents or {})}
    with _fresh(out) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
        files: dict[str, tuple[int, str]] = {}
        when = _moment(run.first)
        for name in sorted([NAME, *files_of(folder)]):
            path = RunFile(name).inside(folder)
            if path is None:
                why = "it is no file of this run, not opened"
                raise OSError(errno.ELOOP, why, str(folder / name))
            files[RUN + name] = _copy(archive, RUN + name, path, when)
        for name, data in sorted(more.items()):
            files[name] = _add(archive, name, data, when)
        sums = "".join(f"{digest}  {name}\n" for name, (_, digest) in sorted(files.items()))
        files[SUMS] = _add(archive, SUMS, sums.encode(), when)
        told = Manifest(schema_version=SCHEMA_VERSION, run=folder.name, files=files)
        told = msgspec.structs.replace(told, sha256=told.digest())
        _add(archive, MANIFEST, told.encoded(), when)
    return len(files) + 1


def evidence(run: RunRecord, name: str = "") -> dict[str, Any]:
    """Tell what a run was made of: environment, revision, recipes with vars and digests.

    Args:
        run: The run.
        name: Its id, where its journal does not have it.
    """
    told: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "run": summary(run, name)}
    if run.started:
        begun = run.started
        told |= {"root": begun.root, "host": begun.host, "argv": list(begun.argv)}
        told["environment"] = begun.environment
    told["recipes"] = [
        {
            "recipe": recipe.key,
            "about": recipe.about,
            "digests": recipe.digests,
            "steps": {
                step.name: {"state": step.state, **({"digest": step.digest} if step.digest else {})}
                for step in recipe.steps.values()
            },
        }
        for recipe in run.recipes.values()
    ]
    return told


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


@contextmanager
def _fresh(out: Path) -> Iterator[Path]:
    """Give the path of a file that takes the place of another once it is whole."""
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _moment(ts: str) -> tuple[int, int, int, int, int, int]:
    """Return what the files of a run are dated with: when it began."""
    if not ts or int(ts[:4]) < _FIRST_YEAR:
        return (_FIRST_YEAR, 1, 1, 0, 0, 0)
    year, month, day = (int(part) for part in ts[:10].split("-"))
    hour, minute, second = (int(part) for part in ts[11:19].split(":"))
    return (year, month, day, hour, minute, second)


def _info(name: str, when: tuple[int, int, int, int, int, int]) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, when)
    info.create_system, info.external_attr = 3, 0o644 << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _add(archive: zipfile.ZipFile, name: str, data: bytes, when: Any) -> tuple[int, str]:
    archive.writestr(_info(name, when), data)
    return len(data), hashlib.sha256(data).hexdigest()


def _copy(archive: zipfile.ZipFile, name: str, path: Path, when: Any) -> tuple[int, str]:
    sha256, size = hashlib.sha256(), 0
    large = path.stat().st_size >= _LARGE
    with path.open("rb") as file, archive.open(_info(name, when), "w", force_zip64=large) as to:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            size += len(chunk)
            to.write(chunk)
    return size, sha256.hexdigest()
