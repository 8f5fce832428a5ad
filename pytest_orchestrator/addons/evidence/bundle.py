"""Evidence bundle: one zip file with a manifest of digests, and its verification.

The same run gives the same bytes. ``manifest.json`` has the size and SHA-256 of every other
file and, in ``sha256``, its own digest, computed without that field; ``SHA256SUMS`` allows a
check with `sha256sum` alone. ``statement.json`` is about the manifest, so the manifest does not
have it, and neither its signature. It is an in-toto Statement, version 1, with the predicate
test-result version 0.1: the test results of the run. It is computed from the journal and the
manifest alone, so a verification computes it again and compares the bytes.
"""

import errno
import hashlib
import os
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from pytest_orchestrator import OrchestratorError
from pytest_orchestrator.addons.evidence.signature import (
    PAYLOAD_TYPE,
    SIGNATURE,
    KeyFileError,
    Signer,
    Verifier,
    opened,
    sealed,
)
from pytest_orchestrator.reading import (
    NAME,
    NOT_GOOD,
    NOT_REACHED,
    Chain,
    Flaw,
    JournalDamaged,
    JournalParser,
    RecipeRecord,
    RunFile,
    RunRecord,
    Verification,
    files_of,
    flaky,
    is_good,
    marginal_count,
    summary,
    verdict,
)
from pytest_orchestrator.rendering import refuse_folder

STATEMENT: Final = "statement.json"
"""Name of the Statement in a bundle."""
TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE: Final = "https://in-toto.io/attestation/test-result/v0.1"

_FAILED: Final = NOT_GOOD | {"not run"}
_EXPECTED: Final = frozenset({"xfailed", "xpassed", "conditional pass"})
_PASSED: Final = frozenset({"passed", "restored"})

Files = Mapping[str, tuple[int, str]]


def statement(run: RunRecord, manifest: tuple[str, bytes], files: Files, folder: str) -> bytes:
    """Return the Statement of a run as JSON.

    Args:
        run: The run.
        manifest: Name and content of the manifest, the first subject.
        files: Size in bytes and SHA-256 of each file in the manifest, by path.
        folder: Path of the run folder in the bundle, with a slash at its end.
    """
    name, data = manifest
    subjects = dict.fromkeys([(name, hashlib.sha256(data).hexdigest()), *_subjects(run)])
    for path in _artifacts(run):
        if folder + path in files:
            subjects[folder + path, files[folder + path][1]] = None
    document = {
        "_type": TYPE,
        "subject": [_described(one, digest) for one, digest in subjects],
        "predicateType": PREDICATE,
        "predicate": _predicate(run),
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _predicate(run: RunRecord) -> dict[str, Any]:
    shaky = {f"{step.recipe}::{step.name}" for step in flaky(run.steps)}
    names: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for step in run.steps:
        name = f"{step.recipe}::{step.name}"
        if step.state in _FAILED:
            names["failedTests"].append(name)
        elif step.state in _EXPECTED or name in shaky or marginal_count(step.block):
            names["warnedTests"].append(name)
        elif step.state in _PASSED:
            names["passedTests"].append(name)
    for test in run.tests.values():
        for field, states in zip(names, (_PASSED, _EXPECTED, _FAILED), strict=True):
            if test.step is None and test.outcome in states:
                names[field].append(test.node)
    names["failedTests"] += [one.path for one in run.uncollected]
    result = "FAILED"
    if is_good(word := verdict(run)):
        is_plain = word == "passed" and not names["warnedTests"]
        result = "PASSED" if is_plain else "WARNED"
    configuration = [_described(*one) for one in dict.fromkeys(_configuration(run))]
    return {"result": result, "configuration": configuration, **names}


def _subjects(run: RunRecord) -> Iterator[tuple[str, str]]:
    """Yield path and SHA-256 of the recipes that ran, and of the files that their steps ran."""
    for recipe in run.recipes.values():
        if any(step.state not in NOT_REACHED for step in recipe.steps.values()):
            yield from _recipe(recipe)
            yield from sorted(recipe.digests.items())


def _configuration(run: RunRecord) -> Iterator[tuple[str, str]]:
    for recipe in run.recipes.values():
        yield from _recipe(recipe)
    station = run.started.environment.get("station_file") if run.started else None
    if station:
        yield str(station["path"]), str(station["sha256"])


def _recipe(recipe: RecipeRecord) -> Iterator[tuple[str, str]]:
    if digest := recipe.about.get("sha256"):
        yield str(recipe.about.get("path", recipe.key)), str(digest)


def _artifacts(run: RunRecord) -> Iterator[str]:
    for step in run.steps:
        yield from (one.file.recorded_path for one in step.artifacts)


def _described(name: str, digest: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": digest}}


SCHEMA_VERSION: Final = "1.1"
MANIFEST: Final = "manifest.json"
SUMS: Final = "SHA256SUMS"
EVIDENCE: Final = "evidence.json"
RUN: Final = "run/"
"""Folder of the run in a bundle."""

_CHUNK: Final = 1 << 20
_FIRST_YEAR: Final = 1980
_LARGE: Final = 1 << 31


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Manifest of a bundle.

    Attributes:
        schema_version: Version of the format of bundles.
        run: Id of the run.
        files: Size in bytes and SHA-256 of each file except the manifest, by path.
        sha256: Digest of the manifest with this field empty.
    """

    schema_version: str
    run: str
    files: dict[str, tuple[int, str]]
    sha256: str = ""

    def encoded(self) -> bytes:
        """Return the bytes of ``manifest.json``."""
        return msgspec.json.format(msgspec.json.encode(self, order="sorted"), indent=1) + b"\n"

    def digest(self) -> str:
        """Compute the digest that ``sha256`` must contain."""
        return hashlib.sha256(msgspec.structs.replace(self, sha256="").encoded()).hexdigest()


def write_bundle(
    folder: Path,
    run: RunRecord,
    out: Path,
    key: Signer | None = None,
) -> int:
    """Write the evidence bundle of a run.

    Args:
        folder: The folder of the run.
        run: The record of the run.
        out: The zip file; an existing one is replaced when the new one is complete.
        key: The key that signs the Statement; None writes no signature.

    Returns:
        The number of files in the bundle.

    Raises:
        OSError: The zip file cannot be written, or a file of the run cannot be read.
        KeyFileError: The bundle is to be signed and a file of it was changed.
    """
    when = _zip_time(run.first)
    with _atomic_path(out) as partial:
        files, manifest = _write_files(folder, partial, _pretty(evidence(run, folder.name)), when)
        made = statement(run, (MANIFEST, manifest), files, RUN)
        with zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, STATEMENT, made, when)
        if key is None:
            return len(files) + 2
        # The written file is verified, because a file of the run may change while it is copied.
        # The signature is about the digests in memory, so a change after this shows too.
        for flaw in verify_bundle(partial).flaws:
            raise KeyFileError(f"{flaw}; a bundle with a change is not signed")
        with zipfile.ZipFile(partial, "a", zipfile.ZIP_DEFLATED) as archive:
            _add(archive, SIGNATURE, sealed(made, key), when)
    return len(files) + 3


def _write_files(
    folder: Path, out: Path, origin: bytes, when: Any
) -> tuple[dict[str, tuple[int, str]], bytes]:
    """Write a zip file with the files of a run, its origin and the manifest.

    Returns:
        Size and SHA-256 of each file except the manifest, and the bytes of the manifest.

    Raises:
        OSError: As for `write_bundle`.
    """
    files: dict[str, tuple[int, str]] = {}
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted([NAME, *files_of(folder)]):
            path = RunFile(name).inside(folder)
            if path is None:
                why = "it is no file of this run, not opened"
                raise OSError(errno.ELOOP, why, str(folder / name))
            files[RUN + name] = _copy(archive, RUN + name, path, when)
        files[EVIDENCE] = _add(archive, EVIDENCE, origin, when)
        sums = "".join(f"{digest}  {name}\n" for name, (_, digest) in sorted(files.items()))
        files[SUMS] = _add(archive, SUMS, sums.encode(), when)
        manifest = Manifest(schema_version=SCHEMA_VERSION, run=folder.name, files=files)
        data = msgspec.structs.replace(manifest, sha256=manifest.digest()).encoded()
        _add(archive, MANIFEST, data, when)
    return files, data


def evidence(run: RunRecord, name: str = "") -> dict[str, Any]:
    """Return the origin of a run: environment, revision, recipes with variables and digests.

    Args:
        run: The run.
        name: Id of the run, if its journal does not have it.
    """
    document: dict[str, Any] = {"schema_version": SCHEMA_VERSION, "run": summary(run, name)}
    if run.started:
        begun = run.started
        document |= {"root": begun.root, "host": begun.host, "argv": list(begun.argv)}
        document["environment"] = begun.environment
    document["recipes"] = [
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
    return document


def _pretty(value: Any) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"


@contextmanager
def _atomic_path(out: Path) -> Iterator[Path]:
    """Yield the path of a temporary file; at the end of the block, move it to `out` atomically."""
    refuse_folder(out)
    partial = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        yield partial
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


def _zip_time(ts: str) -> tuple[int, int, int, int, int, int]:
    """Convert the start of a run to the date of all files in the zip; at least 1980."""
    if not ts or int(ts[:4]) < _FIRST_YEAR:
        return (_FIRST_YEAR, 1, 1, 0, 0, 0)
    return datetime.fromisoformat(ts).timetuple()[:6]


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


_LARGEST: Final = 256 * 1024 * 1024
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError)
"""Exceptions that `zipfile` raises for a file that is damaged, or is no zip file."""


def verify_bundle(path: Path, key: Verifier | None = None) -> Verification:
    """Verify a bundle against its manifest, and the run in it against its journal.

    Args:
        path: The zip file.
        key: The key that must have signed it; None checks no signature.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _verified(path.name, archive, key)[0]
    except _DAMAGED as error:
        why = f"it is no bundle any more: {error}"
        return Verification(path.name, "damaged", 0, 0, "", (Flaw(path.name, why),))


def _verified(
    name: str, archive: zipfile.ZipFile, key: Verifier | None
) -> tuple[Verification, RunRecord]:
    manifest = _manifest(archive)
    if isinstance(manifest, Flaw):
        return Verification(name, "damaged", 0, 0, "", (manifest,)), RunRecord()
    flaws = list(_of_files(archive, manifest))
    tail, record, journal = _journal(archive, manifest.files.get(RUN + NAME))
    if journal is not None and not any(flaw.where == RUN + NAME for flaw in flaws):
        flaws.append(journal)
    if record.finished is not None and not flaws:
        flaws += _changed_since_seal(record.finished.files, manifest.files)
    # Read once: a file that is exchanged meanwhile must not be one statement here, another there.
    stated = _content(archive, STATEMENT)
    # A manifest that calls itself an old one must not excuse a statement about another manifest.
    names = {*archive.namelist()}
    if not flaws and (manifest.schema_version != _WITHOUT_STATEMENT or names & {*_OUTSIDE}):
        flaws += _of_statement(stated, record, manifest)
    flaw, signed_by = _of_signature(archive, stated, key)
    if key is not None and not flaw:
        signed_by = (key.key_id,)  # anyone can add an id of another key, which nothing checks
    record.seal = tail.chain.hash
    found = Verification(
        run=manifest.run,
        state=record.state,
        lines=tail.chain.length,
        files=len(manifest.files),
        seal=tail.chain.hash,
        flaws=(*flaws, *flaw),
        signed_by=signed_by,
        is_signature_checked=key is not None and not flaw,
    )
    return found, record


_WITHOUT_STATEMENT: Final = "1.0"
"""Version of bundles that have no Statement."""
_OUTSIDE: Final = (STATEMENT, SIGNATURE)
"""Files that are about the manifest, so that it does not have them."""


def _of_statement(data: bytes | Flaw, run: RunRecord, manifest: Manifest) -> Iterator[Flaw]:
    """Yield the flaw of the Statement, which follows from the journal and the manifest."""
    if isinstance(data, Flaw):
        yield data
    elif data != statement(run, (MANIFEST, manifest.encoded()), manifest.files, RUN):
        yield Flaw(STATEMENT, "it was changed, or is about another run")


def _of_signature(
    archive: zipfile.ZipFile, stated: bytes | Flaw, key: Verifier | None
) -> tuple[tuple[Flaw, ...], tuple[str, ...]]:
    """Return the flaw of the signature, if it has one, and the ids of its keys."""
    if SIGNATURE not in archive.namelist():
        gone = Flaw(SIGNATURE, "it is gone, or the bundle was never signed")
        return ((gone,) if key else ()), ()
    data = _content(archive, SIGNATURE)
    if isinstance(data, Flaw):
        return (data,), ()
    try:
        envelope = opened(data)
        body, ids = envelope.body, envelope.key_ids
        is_signed = key is None or envelope.is_signed_by(key)
    except ValueError:
        return (Flaw(SIGNATURE, "it was changed"),), ()
    why = ""
    if envelope.payload_type != PAYLOAD_TYPE or body != stated:
        why = "it signs another statement"
    elif not ids:
        why = "it has no signature"
    elif key is not None and not is_signed:
        is_other = key.key_id not in ids
        by = ", ".join(one[:_SHOWN] or "an unnamed key" for one in ids)
        why = (
            f"it is signed by {by}, not by {key.key_id[:_SHOWN]}" if is_other else "it was changed"
        )
    return ((Flaw(SIGNATURE, why),) if why else ()), ids


_SHOWN: Final = 16
"""Number of characters of the id of a key in messages."""


def _content(archive: zipfile.ZipFile, name: str) -> bytes | Flaw:
    """Return the content of a file that the manifest does not have, or its flaw."""
    if archive.namelist().count(name) > 1:
        return Flaw(name, "it occurs twice")
    try:
        if archive.getinfo(name).file_size > _LARGEST:
            return Flaw(name, "it is too large to be one")
        return archive.read(name)
    except KeyError:
        return Flaw(name, "it is gone")
    except _DAMAGED as error:
        return Flaw(name, f"it was changed: {error}")


def _manifest(archive: zipfile.ZipFile) -> Manifest | Flaw:
    """Return the manifest of a bundle, or the flaw that makes it unusable."""
    data = _content(archive, MANIFEST)
    if isinstance(data, Flaw):
        return data
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Flaw(MANIFEST, "it was changed")
    good = manifest.digest() == manifest.sha256 and manifest.encoded() == data
    return manifest if good else Flaw(MANIFEST, "it was changed")


def _of_files(archive: zipfile.ZipFile, manifest: Manifest) -> Iterator[Flaw]:
    present = Counter(archive.namelist())
    for name in (MANIFEST, *_OUTSIDE):
        present.pop(name, None)
    for name in sorted({*present, *manifest.files}):
        if name not in manifest.files:
            yield Flaw(name, "it came later")
        elif present[name] != 1:
            yield Flaw(name, "it occurs twice" if present[name] else "it is gone")
        elif why := _difference(archive, name, *manifest.files[name]):
            yield Flaw(name, why)


def _difference(archive: zipfile.ZipFile, name: str, size: int, digest: str) -> str:
    """Describe how a file differs from its size and digest; empty if it does not."""
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


class UnusableBundle(OrchestratorError):
    """Error: a bundle is no proof of the run in it, so the run is not read."""

    slug = "unusable-bundle"


def bundled_run(path: Path) -> RunRecord:
    """Return the record of the run in a bundle, which is verified first; no file is extracted.

    Raises:
        UnusableBundle: The file is no bundle, was changed, is too large, or its run has no seal.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(one.file_size for one in archive.infolist() if one.filename == RUN + NAME)
            if size > _LARGEST:
                raise UnusableBundle(
                    f"{path}: its journal has {size:,} bytes; at most {_LARGEST:,} are read"
                )
            found, run = _verified(path.name, archive, None)
            if found.flaws:
                raise UnusableBundle(f"{path}: {found.flaws[0]}")
            if not found.holds:
                raise UnusableBundle(f"{path}: its run was interrupted, so it has no seal")
    except FileNotFoundError:
        raise UnusableBundle(f"there is no file {path}") from None
    except _DAMAGED as error:
        raise UnusableBundle(f"{path} is no bundle: {error}") from None
    return run


def _journal(
    archive: zipfile.ZipFile, digest: tuple[int, str] | None
) -> tuple[JournalParser, RunRecord, Flaw | None]:
    """Return the valid part of the journal, the run that it describes, and its flaw or None.

    Args:
        archive: The bundle.
        digest: Size and SHA-256 of the journal in the manifest. What is read here must have them
            too, since it is read after the check of all files.
    """
    tail, run = JournalParser(Chain(raw_blocks=True)), RunRecord()
    flaw: Flaw | None = None
    sha256, size = hashlib.sha256(), 0
    try:
        with archive.open(RUN + NAME) as file:
            while chunk := file.read(_CHUNK):
                sha256.update(chunk)
                size += len(chunk)
                for entry in tail.feed(chunk):
                    run.fold(entry)
        tail.end()
        if digest != (size, sha256.hexdigest()):
            flaw = Flaw(RUN + NAME, "it was changed")
    except KeyError:
        flaw = Flaw(RUN + NAME, "it is gone")
    except JournalDamaged as error:
        flaw = Flaw(f"{RUN}{NAME}:{error.line}", str(error).partition(": ")[2])
    except _DAMAGED as error:
        flaw = Flaw(RUN + NAME, f"it was changed: {error}")
    run.end("damaged" if flaw else "finished" if tail.finished else "interrupted")
    return tail, run, flaw


def _changed_since_seal(
    sealed: Mapping[str, tuple[int, str]], files: Mapping[str, tuple[int, str]]
) -> Iterator[Flaw]:
    """Yield a flaw for each file that was changed after the run ended, before it was bundled."""
    for name, digest in sorted(sealed.items()):
        if files.get(RUN + name) != digest:
            what = "was changed" if RUN + name in files else "was taken away"
            yield Flaw(RUN + name, f"it {what} after the run had ended, before it was bundled")
