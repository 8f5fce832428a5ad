"""Evidence: all of a run in one file, of which no byte changes unnoticed."""

from __future__ import annotations

import hashlib
import json
import zipfile
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.runs.evidence import bundle
from pytest_orchestrator.runs.evidence.bundle import verify_bundle
from pytest_orchestrator.runs.lookup import load_record

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs

MEMBERS = [
    "SHA256SUMS",
    "evidence.json",
    "manifest.json",
    "resolved/psu.json",
    "run/artifacts/psu/empty.txt",
    "run/journal.jsonl",
    "run/logs/psu/a.1.stdout",
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
    """Its evidence."""
    out = tmp_path / "evidence.zip"
    assert bundle.write_bundle(run, load_record(run), out, {"resolved/psu.json": b"{}\n"}) == len(
        MEMBERS
    )
    return out


def contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def test_a_bundle_has_the_run_and_what_it_was_made_of(made: Path, run: Path) -> None:
    found = contents(made)

    assert sorted(found) == MEMBERS
    assert found["run/journal.jsonl"] == (run / "journal.jsonl").read_bytes()
    told = json.loads(found["evidence.json"])
    assert (told["host"], told["run"]["verdict"]) == ("bench_3", "passed")
    (recipe,) = told["recipes"]
    assert recipe["about"]["vars"] == {"gain": {"value": 2, "origin": "--recipe-var"}}
    assert recipe["digests"] == {"a.sh": "2" * 64}
    for line in found["SHA256SUMS"].decode().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256(found[name]).hexdigest() == digest


def test_the_same_run_gives_the_same_bytes(made: Path, run: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.zip"
    bundle.write_bundle(run, load_record(run), again, {"resolved/psu.json": b"{}\n"})

    assert again.read_bytes() == made.read_bytes()
    assert sorted(path.name for path in tmp_path.glob("*.zip*")) == ["again.zip", "evidence.zip"]


def test_a_bundle_that_nobody_touched_holds(made: Path, run: Path) -> None:
    proof = verify_bundle(made)

    assert (proof.holds, proof.run, proof.lines, proof.flaws) == (True, run.name, 6, ())
    assert proof.files == len(MEMBERS) - 1


def test_one_changed_byte_in_any_file_is_named(made: Path, tmp_path: Path) -> None:
    files, changed = contents(made), tmp_path / "changed.zip"
    for name, data in files.items():
        for place in {0, len(data) // 3, len(data) - 1} if data else ():
            other = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            proof = verify_bundle(zipped(changed, files | {name: other}))
            assert [flaw.where for flaw in proof.flaws] == [name]
            assert not proof.holds


def test_no_byte_of_the_archive_changes_what_is_read_unnoticed(made: Path, tmp_path: Path) -> None:
    data, good, changed = made.read_bytes(), contents(made), tmp_path / "changed.zip"
    for place in range(0, len(data), 23):
        changed.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        if verify_bundle(changed).holds:
            assert contents(changed) == good


def test_files_that_are_gone_new_or_there_twice_are_named(made: Path, tmp_path: Path) -> None:
    files, changed = contents(made), tmp_path / "changed.zip"
    log = files.pop("run/logs/psu/a.1.stdout")
    proof = verify_bundle(zipped(changed, {**files, "run/logs/x": log}))
    assert list(map(str, proof.flaws)) == [
        "run/logs/psu/a.1.stdout: it is gone",
        "run/logs/x: it came later",
    ]
    del files["manifest.json"]
    assert str(verify_bundle(zipped(changed, files)).flaws[0]) == "manifest.json: it is gone"
    changed.write_text("no zip")
    assert str(verify_bundle(changed).flaws[0]) == (
        "changed.zip: it is no bundle any more: File is not a zip file"
    )


def test_what_was_changed_before_it_was_bundled_is_named(run: Path, tmp_path: Path) -> None:
    (run / "logs/psu/a.1.stdout").write_text("other\n")
    out = tmp_path / "evidence.zip"
    bundle.write_bundle(run, load_record(run), out)
    (flaw,) = verify_bundle(out).flaws

    assert str(flaw) == (
        "run/logs/psu/a.1.stdout: it was changed after the run had ended, before it was bundled"
    )


def test_a_run_that_was_cut_is_bundled_and_told(runs: Runs, tmp_path: Path) -> None:
    built = runs.new().begin("a")
    built.start("a")
    folder, out = built.cut(), tmp_path / "evidence.zip"
    bundle.write_bundle(folder, load_record(folder), out)
    proof = verify_bundle(out)

    assert (proof.holds, proof.state, proof.flaws) == (False, "interrupted", ())
