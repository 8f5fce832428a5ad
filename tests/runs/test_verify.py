"""Verification of a run folder: each changed line or file is named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.addons.evidence import bundle
from pytest_orchestrator.addons.evidence.bundle import verify_bundle
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.verify import Flaw, verify_folder

if TYPE_CHECKING:
    from pathlib import Path

    from tests.runs.built import Runs

FILES = ("artifacts/psu/scope.png", "logs/psu/flash.1.stderr", "resources/psu/flash.1.jsonl")


@pytest.fixture
def run(runs: Runs) -> Path:
    """A sealed run with files."""
    built = runs.new().begin("flash")
    for name in FILES:
        built.write(name, f"what is in {name}\n")
    return built.step("flash").seal()


def test_an_unchanged_run_is_verified(run: Path) -> None:
    result = verify_folder(run)

    assert (result.holds, result.state, result.flaws) == (True, "finished", ())
    assert (result.lines, result.files, len(result.seal)) == (6, 3, 64)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_in_any_file_is_named(run: Path, name: str) -> None:
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[:5] + bytes([data[5] ^ 1]) + data[6:])

    assert verify_folder(run).flaws == (Flaw(name, "it was changed"),)


def test_longer_missing_and_added_files_of_a_run_are_named(run: Path) -> None:
    (run / FILES[0]).unlink()
    with (run / FILES[1]).open("a") as file:
        file.write("more")
    (run / "logs/zzz").write_text("")
    (run / "report.html").write_text("made again")

    assert [str(flaw) for flaw in verify_folder(run).flaws] == [
        "artifacts/psu/scope.png: it is gone",
        "logs/psu/flash.1.stderr: it has 39 bytes, and had 35",
        "logs/zzz: it came after the run had ended",
    ]


def test_one_flipped_byte_of_the_journal_is_named_by_its_line(run: Path) -> None:
    path = run / "journal.jsonl"
    data = path.read_bytes()
    for place in range(0, len(data) - 1, 37):
        path.write_bytes(data[:place] + bytes([data[place] ^ 2]) + data[place + 1 :])
        (flaw,) = verify_folder(run).flaws
        line = data.count(b"\n", 0, place) + 1
        assert flaw.where == f"journal.jsonl:{line}"


def test_a_cut_journal_is_not_verified_as_complete(run: Path) -> None:
    path = run / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    result = verify_folder(run)
    assert (result.holds, result.state, result.lines) == (False, "interrupted", 5)

    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    (flaw,) = verify_folder(run).flaws
    assert str(flaw) == (
        "journal.jsonl:3: it says that it is line 4: lines before it are gone or were moved"
    )


def test_files_whose_names_are_not_utf8_are_sealed_and_distinguished(
    runs: Runs, tmp_path: Path
) -> None:
    built = runs.new().begin("flash")
    names = [os.fsdecode(name) for name in (b"a\xff.txt", rb"a\xff.txt", b"caf\xe9/b.txt")]
    for name in names:
        built.write(name, "what is in it\n")
    run = built.step("flash").seal()
    bundle.write_bundle(run, load_record(run), tmp_path / "b.zip")

    assert (verify_folder(run).holds, verify_folder(run).files) == (True, 3)
    assert verify_bundle(tmp_path / "b.zip").holds
    (run / names[0]).write_text("something else\n")
    (run / names[2]).unlink()
    assert [str(flaw) for flaw in verify_folder(run).flaws] == [
        r"a\xff.txt: it has 15 bytes, and had 14",
        r"caf\xe9/b.txt: it is gone",
    ]
