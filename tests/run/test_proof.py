"""A run that was changed is told from one that was not, by the first line or file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.run.proof import Flaw, proved

if TYPE_CHECKING:
    from pathlib import Path

    from tests.run.built import Runs

FILES = ("artifacts/psu/scope.png", "logs/psu/flash.1.stderr", "resources/psu/flash.1.jsonl")


@pytest.fixture
def run(runs: Runs) -> Path:
    """A run with files, as it ended."""
    built = runs.new().begin("flash")
    for name in FILES:
        built.write(name, f"what is in {name}\n")
    return built.step("flash").seal()


def test_a_run_that_nobody_touched_holds(run: Path) -> None:
    proof = proved(run)

    assert (proof.holds, proof.state, proof.flaws) == (True, "finished", ())
    assert (proof.lines, proof.files, len(proof.seal)) == (6, 3, 64)


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_in_any_file_is_named(run: Path, name: str) -> None:
    data = (run / name).read_bytes()
    (run / name).write_bytes(data[:5] + bytes([data[5] ^ 1]) + data[6:])

    assert proved(run).flaws == (Flaw(name, "it was changed"),)


def test_a_file_that_is_longer_gone_or_new_is_named(run: Path) -> None:
    (run / FILES[0]).unlink()
    with (run / FILES[1]).open("a") as file:
        file.write("more")
    (run / "logs/zzz").write_text("")
    (run / "report.html").write_text("made again")

    assert [str(flaw) for flaw in proved(run).flaws] == [
        "artifacts/psu/scope.png: it is gone",
        "logs/psu/flash.1.stderr: it has 39 bytes, and had 35",
        "logs/zzz: it came after the run had ended",
    ]


def test_one_flipped_byte_of_the_journal_is_named_by_its_line(run: Path) -> None:
    path = run / "journal.jsonl"
    data = path.read_bytes()
    for place in range(0, len(data) - 1, 37):
        path.write_bytes(data[:place] + bytes([data[place] ^ 2]) + data[place + 1 :])
        (flaw,) = proved(run).flaws
        line = data.count(b"\n", 0, place) + 1
        assert flaw.where == f"journal.jsonl:{line}"


def test_a_cut_journal_is_not_taken_for_a_whole_one(run: Path) -> None:
    path = run / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    proof = proved(run)
    assert (proof.holds, proof.state, proof.lines) == (False, "interrupted", 5)

    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    (flaw,) = proved(run).flaws
    assert str(flaw) == (
        "journal.jsonl:3: it says that it is line 4: lines before it are gone or were moved"
    )
