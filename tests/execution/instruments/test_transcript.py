"""Transcript of a run: from its folder or bundle, with the errors of what is none."""

import hashlib
import zipfile
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from pytest_orchestrator.core.events import InstrumentExchange, InstrumentOpened, RunStarted
from pytest_orchestrator.execution.instruments.transcript import load_transcript
from pytest_orchestrator.runs.journal.writer import Journal
from pytest_orchestrator.runs.lookup import NoRun

RUN = "20261203T101502Z-7f3a"
EMPTY = "20261203T101503Z-7f3b"
BLOCK = b"\x00\xff" * 50
DIGEST = hashlib.sha256(BLOCK).hexdigest()
FILE = f"artifacts/instruments/{DIGEST}"


def exchange(order: int, command: str, worker: str = "main", data: str = "") -> InstrumentExchange:
    return InstrumentExchange(
        recipe="a",
        instrument="psu",
        order=order,
        do="query",
        command=command,
        worker=worker,
        data=data,
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """The folder of a run with exchanges of two processes, and with a block."""
    folder = tmp_path / "runs" / RUN
    block = folder / FILE
    block.parent.mkdir(parents=True)
    block.write_bytes(BLOCK)
    with closing(Journal(folder / "journal.jsonl")) as journal:
        journal.append(RunStarted(schema_version="1.0", run=RUN))
        journal.append(InstrumentOpened(recipe="a", instrument="psu", resource="R"))
        journal.append(exchange(2, "B?", "gw1"))
        journal.append(exchange(2, "D?", "gw0", FILE))
        journal.append(exchange(1, "A?", "gw1"))
        journal.append(exchange(1, "C?", "gw0"))
    return folder


def bundle(run: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in run.rglob("*"):
            archive.write(file, f"run/{file.relative_to(run)}")
    return path


@pytest.mark.parametrize("kind", ["id", "folder", "bundle"])
def test_a_transcript_has_the_exchanges_of_each_process_in_their_order(
    run: Path, tmp_path: Path, kind: str
) -> None:
    bundle(run, tmp_path / "b.zip")
    name = {"id": RUN, "folder": f"runs/{RUN}", "bundle": "b.zip"}[kind]

    found = load_transcript(run.parent, name, tmp_path)

    assert (found.run, [*found.opened]) == (RUN, ["psu"])
    assert [one.command for one in found.exchanges] == ["C?", "D?", "A?", "B?"]
    assert found.data(found.exchanges[1]) == BLOCK


@pytest.mark.parametrize("packed", [False, True])
def test_bytes_that_are_gone_changed_or_elsewhere_are_none(
    run: Path, tmp_path: Path, packed: bool
) -> None:
    (tmp_path / "outside").write_bytes(BLOCK)
    (run / FILE).write_bytes(BLOCK + b"!")
    name = str(bundle(run, tmp_path / "b.zip")) if packed else str(run)

    found = load_transcript(run.parent, name, tmp_path)

    named = found.exchanges[1]
    for data in (FILE, "artifacts/gone", "../../outside", str(tmp_path / "outside"), ""):
        assert found.data(msgspec.structs.replace(named, data=data)) is None


def test_a_changed_journal_is_not_replayed(run: Path, tmp_path: Path) -> None:
    journal = run / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"B?", b"X?", 1))

    for name in (RUN, str(bundle(run, tmp_path / "b.zip"))):
        with pytest.raises(NoRun, match=r"line 3.*; a changed transcript is not replayed"):
            load_transcript(run.parent, name, tmp_path)


def test_a_file_that_is_no_bundle_of_a_run_is_refused(run: Path, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme", "")
    packed = bundle(run, tmp_path / "torn.zip")
    content = bytearray(packed.read_bytes())
    content[200:260] = bytes(60)
    packed.write_bytes(content)

    for name, error in (
        ("text.zip", "text.zip is no bundle; 'pytest-orchestrator report --bundle' makes one"),
        ("other.zip", "other.zip is no bundle of a run: it has no run/journal.jsonl"),
        ("torn.zip", "torn.zip"),
        (EMPTY, "no run"),
    ):
        with pytest.raises(NoRun, match=error):
            load_transcript(run.parent, name, tmp_path)


def test_a_run_without_exchanges_cannot_be_replayed(tmp_path: Path) -> None:
    (tmp_path / EMPTY).mkdir()
    with closing(Journal(tmp_path / EMPTY / "journal.jsonl")) as journal:
        journal.append(RunStarted(schema_version="1.0", run=EMPTY))

    with pytest.raises(NoRun, match=f"run {EMPTY} has no exchange with an instrument"):
        load_transcript(tmp_path, EMPTY, tmp_path)
