"""One reader for each run, which tells what changed, and nothing outside the folder of the runs."""

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


def states(sight: RunView) -> list[str]:
    return [step.state for step in sight.record.steps]


def test_a_run_is_followed_until_its_process_is_gone(bench: Path) -> None:
    watch, built = RunCache(bench), Built(bench, GOING).begin("flash", "measure")
    built.start("flash")

    first = watch.see(GOING, lambda sight: (sight.version, states(sight)))
    assert first == (1, ["running", "waiting"])
    assert watch.see(GOING, lambda sight: sight.version) == 1
    built.finish("flash")
    assert watch.see(GOING, lambda sight: (sight.version, states(sight)[0])) == (2, "passed")
    built.start("measure")
    built.cut()
    told = watch.see(GOING, lambda sight: (sight.record.state, states(sight)[1]))
    assert told == ("interrupted", "interrupted")


def test_all_pages_share_one_reader(bench: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folded: list[int] = []
    fold = record.RunRecord.fold

    def noted(run: record.RunRecord, entry: Entry) -> None:
        folded.append(entry.n)
        fold(run, entry)

    monkeypatch.setattr(record.RunRecord, "fold", noted)
    watch = RunCache(bench)
    for _ in range(20):
        watch.see(OLDER, states)

    assert folded == list(range(1, len(folded) + 1))


def test_a_torn_last_line_is_waited_for(bench: Path) -> None:
    journal = bench / RUN / "journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-10])
    watch = RunCache(bench)

    lines = watch.see(RUN, lambda sight: sight.record.lines)
    with journal.open("ab") as file:
        file.write(whole[-10:])
    assert watch.see(RUN, lambda sight: (sight.record.lines, sight.trouble)) == (lines + 1, "")


def test_a_journal_that_was_changed_is_told_and_read_no_further(bench: Path) -> None:
    journal = bench / RUN / "journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"A17"', b'"A71"'))

    told = RunCache(bench).see(RUN, lambda sight: (sight.record.state, sight.trouble))
    assert told[0] == "damaged"
    assert told[1].startswith("the journal was changed, ")


def test_a_folder_that_was_deleted_is_no_run(bench: Path) -> None:
    watch = RunCache(bench)
    watch.see(RUN, states)
    shutil.rmtree(bench / RUN)

    with pytest.raises(NoRun, match=f"no run '{RUN}'"):
        watch.see(RUN, states)


@pytest.mark.parametrize("name", ["..", ".", "", "latest", f"../runs/{RUN}", f"{RUN}/..", "x\0"])
def test_nothing_else_is_a_run(name: str, bench: Path) -> None:
    with pytest.raises(NoRun):
        RunCache(bench).folder(name)
