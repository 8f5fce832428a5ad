"""Evidence bundle: content, reproducible bytes, detection of changes."""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import TYPE_CHECKING

import msgspec
import pytest

from pytest_orchestrator.addons.evidence import bundle
from pytest_orchestrator.addons.evidence.bundle import verify_bundle
from pytest_orchestrator.runs.lookup import load_record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs

MEMBERS = [
    "SHA256SUMS",
    "evidence.json",
    "manifest.json",
    "run/artifacts/psu/empty.txt",
    "run/journal.jsonl",
    "run/logs/psu/a.1.stdout",
    "statement.json",
]


@pytest.fixture
def run(runs: Runs) -> Path:
    """A run with a log and an empty artifact."""
    built = runs.new(sha256="1" * 64, vars={"gain": {"value": 2, "origin": "--recipe-var"}})
    built.begin("a", digests={"a.sh": "2" * 64}).step("a")
    built.write("logs/psu/a.1.stdout", '{"status": "ok"}\n')
    built.write("artifacts/psu/empty.txt", "")
    return built.seal()


@pytest.fixture
def made(run: Path, tmp_path: Path) -> Path:
    """The evidence bundle of the run."""
    out = tmp_path / "evidence.zip"
    assert bundle.write_bundle(run, load_record(run), out) == len(MEMBERS)
    return out


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_bundle_contains_the_run_and_its_origin(made: Path, run: Path) -> None:
    files = contents(made)

    assert sorted(files) == MEMBERS
    assert files["run/journal.jsonl"] == (run / "journal.jsonl").read_bytes()
    origin = json.loads(files["evidence.json"])
    assert (origin["host"], origin["run"]["verdict"]) == ("bench_3", "passed")
    (recipe,) = origin["recipes"]
    assert recipe["about"]["vars"] == {"gain": {"value": 2, "origin": "--recipe-var"}}
    assert recipe["digests"] == {"a.sh": "2" * 64}
    for line in files["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(files[name]).hexdigest() == digest


def test_the_same_run_gives_the_same_bytes(made: Path, run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    bundle.write_bundle(run, load_record(run), again)

    assert again.read_bytes() == made.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["again.zip", "evidence.zip"]


def test_an_unchanged_bundle_is_verified(made: Path, run: Path) -> None:
    result = verify_bundle(made)

    assert (result.holds, result.run, result.lines, result.flaws) == (True, run.name, 6, ())
    assert result.files == len(MEMBERS) - 2


def test_one_changed_byte_in_any_file_is_named(made: Path, tmp_path: Path) -> None:
    files, changed = contents(made), tmp_path / "changed.zip"
    for name, data in files.items():
        for place in {0, len(data) // 3, len(data) - 1} if data else ():
            other = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            result = verify_bundle(zipped(changed, files | {name: other}))
            assert [flaw.where for flaw in result.flaws] == [name]
            assert not result.holds


def test_no_changed_byte_of_the_archive_changes_its_content_unnoticed(
    made: Path, tmp_path: Path
) -> None:
    data, good, changed = made.read_bytes(), contents(made), tmp_path / "changed.zip"
    for place in range(0, len(data), 23):
        changed.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        if verify_bundle(changed).holds:
            assert contents(changed) == good


def test_missing_and_added_files_of_a_bundle_are_named(made: Path, tmp_path: Path) -> None:
    files, changed = contents(made), tmp_path / "changed.zip"
    log = files.pop("run/logs/psu/a.1.stdout")
    result = verify_bundle(zipped(changed, {**files, "run/logs/x": log}))
    assert list(map(str, result.flaws)) == [
        "run/logs/psu/a.1.stdout: it is gone",
        "run/logs/x: it came later",
    ]
    del files["manifest.json"]
    assert str(verify_bundle(zipped(changed, files)).flaws[0]) == "manifest.json: it is gone"
    changed.write_text("no zip")
    assert str(verify_bundle(changed).flaws[0]) == (
        "changed.zip: it is no bundle any more: File is not a zip file"
    )


def test_a_bundle_of_an_earlier_version_without_a_statement_is_verified(
    made: Path, tmp_path: Path
) -> None:
    files = contents(made)
    del files["statement.json"]
    now = msgspec.json.decode(files["manifest.json"], type=bundle.Manifest)
    old = msgspec.structs.replace(now, schema_version="1.0")
    old = msgspec.structs.replace(old, sha256=old.digest())
    path = zipped(tmp_path / "old.zip", files | {"manifest.json": old.encoded()})

    assert verify_bundle(path).holds
    (flaw,) = verify_bundle(zipped(path, files)).flaws
    assert str(flaw) == "statement.json: it is gone"


def test_a_file_that_was_changed_before_bundling_is_named(run: Path, tmp_path: Path) -> None:
    (run / "logs/psu/a.1.stdout").write_text("other\n")
    out = tmp_path / "evidence.zip"
    bundle.write_bundle(run, load_record(run), out)
    (flaw,) = verify_bundle(out).flaws

    assert str(flaw) == (
        "run/logs/psu/a.1.stdout: it was changed after the run had ended, before it was bundled"
    )


def test_an_interrupted_run_is_bundled_and_verified_as_interrupted(
    runs: Runs, tmp_path: Path
) -> None:
    built = runs.new().begin("a")
    built.start("a")
    folder, out = built.cut(), tmp_path / "evidence.zip"
    bundle.write_bundle(folder, load_record(folder), out)
    result = verify_bundle(out)

    assert (result.holds, result.state, result.flaws) == (False, "interrupted", ())


def test_the_run_in_a_bundle_is_the_recorded_one(run: Path, made: Path) -> None:
    expected, found = load_record(run), bundle.bundled_run(made)

    assert (found.id, found.state, found.seal) == (expected.id, "finished", expected.seal)
    assert found.recipes.keys() == expected.recipes.keys()


def test_a_journal_that_is_too_large_for_memory_is_not_read(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "_LARGEST", 10)
    size = zipfile.ZipFile(made).getinfo("run/journal.jsonl").file_size
    with pytest.raises(bundle.UnusableBundle) as raised:
        bundle.bundled_run(made)

    assert str(raised.value) == f"{made}: its journal has {size:,} bytes; at most 10 are read"
