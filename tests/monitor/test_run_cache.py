"""Run cache: one reader for each run, and no access outside of the folder of runs."""

import shutil
from pathlib import Path

import pytest

from pytest_orchestrator.monitor.run_cache import RunCache, RunView
from pytest_orchestrator.runs import record
from pytest_orchestrator.runs.journal.chain import Entry
from pytest_orchestrator.runs.lookup import NoRun
from tests.monitor.conftest import OLDER, RUN
from tests.runs.built import Built

GOING = "20261126T000000Z-0003"


def states(view: RunView) -> list[str]:
    return [step.state for step in view.record.steps]


def test_run_is_followed_until_its_process_has_ended(bench: Path) -> None:
    run_cache, built = RunCache(bench), Built(bench, GOING).begin("flash", "measure")
    built.start("flash")

    first = run_cache.read(GOING, lambda view: (view.version, states(view)))
    assert first == (1, ["running", "waiting"])
    assert run_cache.read(GOING, lambda view: view.version) == 1
    built.finish("flash")
    assert run_cache.read(GOING, lambda view: (view.version, states(view)[0])) == (2, "passed")
    built.start("measure")
    built.cut()
    end_states = run_cache.read(GOING, lambda view: (view.record.state, states(view)[1]))
    assert end_states == ("interrupted", "interrupted")


def test_pages_share_one_reader_for_each_run(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[int] = []
    fold = record.RunRecord.fold

    def noting_fold(run: record.RunRecord, entry: Entry) -> None:
        folded.append(entry.n)
        fold(run, entry)

    monkeypatch.setattr(record.RunRecord, "fold", noting_fold)
    run_cache = RunCache(bench)
    for _ in range(20):
        run_cache.read(OLDER, states)

    assert folded == list(range(1, len(folded) + 1))


def test_incomplete_last_line_is_read_once_it_is_complete(bench: Path) -> None:
    journal = bench / RUN / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-10])
    run_cache = RunCache(bench)

    lines = run_cache.read(RUN, lambda view: view.record.lines)
    with journal.open("ab") as file:
        file.write(whole[-10:])
    assert run_cache.read(RUN, lambda view: (view.record.lines, view.problem)) == (lines + 1, "")


def test_modified_journal_is_reported_and_read_no_further(bench: Path) -> None:
    journal = bench / RUN / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"A17"', b'"A71"'))

    state, problem = RunCache(bench).read(RUN, lambda view: (view.record.state, view.problem))
    assert state == "damaged"
    assert problem.startswith("journal modified, ")


def test_a_journal_that_is_changed_after_it_was_read_is_reported(bench: Path) -> None:
    journal, run_cache = bench / OLDER / "journal.jsonl", RunCache(bench)
    state, version = run_cache.read(OLDER, lambda view: (view.record.state, view.version))
    assert state == "finished"

    journal.write_bytes(journal.read_bytes().replace(b"flash", b"crash", 1))

    seen = run_cache.read(OLDER, lambda view: (view.record.state, view.problem, view.version))
    assert seen[0] == "damaged"
    assert seen[1].startswith("journal modified, ")
    assert seen[2] > version
    journal.unlink()
    with pytest.raises(NoRun):
        run_cache.read(OLDER, states)


def test_newest_run_has_a_journal(bench: Path) -> None:
    (bench / GOING).mkdir()  # of an incomplete copy
    (bench / "latest").symlink_to("20261127T000000Z-0004")
    assert RunCache(bench).newest() == RUN


def test_deleted_folder_raises_no_run(bench: Path) -> None:
    run_cache = RunCache(bench)
    run_cache.read(RUN, states)
    shutil.rmtree(bench / RUN)

    with pytest.raises(NoRun, match=f"no run '{RUN}'"):
        run_cache.read(RUN, states)


@pytest.mark.parametrize("name", ["..", ".", "", "latest", f"../runs/{RUN}", f"{RUN}/..", "x\0"])
def test_name_that_is_not_a_run_id_raises_no_run(name: str, bench: Path) -> None:
    with pytest.raises(NoRun):
        RunCache(bench).folder(name)


def test_a_large_journal_is_read_in_several_views(
    bench: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_orchestrator.monitor.run_cache._PATIENCE", 0.0)
    monkeypatch.setattr("pytest_orchestrator.runs.lookup._CHUNK", 400)
    run_cache = RunCache(bench)
    views = [
        run_cache.read(OLDER, lambda view: (view.share, view.record.state, view.version))
        for _ in range(20)
    ]

    assert views[0][0] < views[1][0] < 1
    assert (views[0][1], views[1][2]) == ("running", 2)
    assert views[-1][:2] == (1.0, "finished")
    assert views[-1] == views[-2]
