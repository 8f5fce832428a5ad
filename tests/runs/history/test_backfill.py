"""Backfill of the history store from journals, and retention of run folders."""

from __future__ import annotations

import subprocess
import sys
import threading
from subprocess import PIPE
from typing import TYPE_CHECKING, Any

import pytest

from pytest_orchestrator.core.events import RecipeStarted
from pytest_orchestrator.runs import lookup
from pytest_orchestrator.runs.folder import history_file, history_folder
from pytest_orchestrator.runs.history import backfill, store
from pytest_orchestrator.runs.history.retention import delete
from pytest_orchestrator.runs.index import past_runs
from tests.runs.built import BEGIN, RECIPE, Built

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_orchestrator.runs.history.model import PastRun
    from tests.runs.built import Runs


OTHER = """
import sys
from pathlib import Path
from pytest_orchestrator.runs.history import backfill

print("ready", flush=True)
sys.stdin.readline()
raise SystemExit(bool(backfill.backfill(Path(sys.argv[1])).left_out))
"""


def test_all_runs_that_ended_get_a_file(runs: Runs) -> None:
    finished, other = runs.history(1.0, 2.0)
    killed = runs.new().begin("a").step("a").cut()
    damaged = runs.new().begin("a").step("a").seal() / "journal.jsonl"
    damaged.write_bytes(damaged.read_bytes().replace(b"bench_3", b"bench_4"))
    gone = runs.new().seal()
    (gone / "journal.jsonl").unlink()
    running = runs.new().begin("a")
    backfill.kept(runs.base, other)
    progress: list[tuple[int, int]] = []

    result = backfill.backfill(runs.base, lambda count, of: progress.append((count, of)))
    read = [(one.id, one.state) for one in past_runs.read_all(runs.base)]
    running.cut()

    folders = (damaged.parent, killed, finished)
    assert sorted(result.written, reverse=True) == [one.name for one in folders]
    reason = f"{gone} has no journal: No such file or directory"
    assert result.left_out == {gone.name: reason}
    assert progress == [(count, 5) for count in range(1, 6)]
    assert read == [
        (damaged.parent.name, "damaged"),
        (killed.name, "interrupted"),
        (other.name, "finished"),
        (finished.name, "finished"),
    ]


def test_a_journal_that_no_session_wrote_harms_no_reader(runs: Runs) -> None:
    built = runs.new()
    steps: Any = ({"name": 7, "index": 1, "line": 2},)
    built.add(RecipeStarted(recipe=RECIPE, about=built.about, steps=steps))
    odd = built.cut()
    (good,) = runs.history(1.0)

    assert [one.id for one in past_runs.read_all(runs.base)] == [good.name]
    assert backfill.backfill(runs.base).left_out.keys() == {odd.name}
    assert delete([odd]) == [odd]


def test_a_read_only_store_is_named_and_readers_use_the_journals(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = runs.history(1.0, 2.0)

    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(store, "write", refused)

    assert backfill.backfill(runs.base).left_out == dict.fromkeys(
        (second.name, first.name), "Permission denied"
    )
    assert [one.id for one in past_runs.read_all(runs.base)] == [second.name, first.name]


def test_a_reader_has_runs_with_a_file_and_runs_with_a_folder_once(runs: Runs) -> None:
    folders = runs.history(1.0, 2.0, 3.0)
    backfill.kept(runs.base, folders[0])
    backfill.kept(runs.base, folders[1])
    delete([folders[0]])
    running = runs.new().begin("a")

    read = [one.id for one in past_runs.read_all(runs.base)]
    running.cut()

    assert read == [one.name for one in reversed(folders)]
    assert history_file(runs.base, folders[2].name).is_file()


def test_runs_in_a_folder_that_is_no_project_get_no_files(runs: Runs, tmp_path: Path) -> None:
    (folder,) = runs.history(1.0)
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    folder.rename(unpacked / folder.name)

    assert [one.id for one in past_runs.read_all(unpacked)] == [folder.name]
    assert not history_folder(unpacked).exists()


def test_reading_ends_at_a_number_of_bytes(runs: Runs) -> None:
    runs.history(1.0, 2.0, 3.0)
    backfill.backfill(runs.base)
    newest, *_ = store.ids(runs.base)
    size = history_file(runs.base, newest).stat().st_size

    assert len([*past_runs.read_all(runs.base, size)]) == 1
    assert len([*past_runs.read_all(runs.base, 3 * size)]) == 3
    assert [*past_runs.read_all(runs.base, size - 1)] == []


def test_earlier_runs_are_those_of_the_recipes_of_the_run(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(past_runs, "MOST_RUNS", 3)
    folders = runs.history(1.0, 2.0, 3.0)
    runs.new("recipes/other.yaml").begin("a").step("a").seal()
    (last,) = runs.history(4.0)
    second, start = last.name.partition("-")[0], BEGIN + 5 * 60_000_000
    for name, moment in (("0000", start + 500_000), ("ffff", start - 500_000)):
        Built(runs.base, f"{second}-{name}", start=moment).begin("a").step("a").seal()
    runs.history(5.0)
    backfill.backfill(runs.base)
    record = lookup.load_record(last)

    def ids(most_bytes: int | None = None) -> dict[str, list[str]]:
        found = past_runs.earlier(record, last, most_bytes)
        return {key: [past.id for past, _ in each] for key, each in found.items()}

    assert ids() == {RECIPE: [f"{second}-ffff", folders[2].name]}
    others = [f"{second}-ffff", f"{second}-0000", *(one.name for one in folders[2:])]
    sizes = [history_file(runs.base, one).stat().st_size for one in others]
    other = history_file(runs.base, "20261118T111040Z-0004").stat().st_size
    assert ids(sum(sizes[:2])) == {RECIPE: [f"{second}-ffff"]}
    assert ids(sum(sizes) + other) == {RECIPE: [f"{second}-ffff", folders[2].name]}


def test_a_recipe_that_was_only_restored_is_no_run(runs: Runs) -> None:
    (first,) = runs.history(1.0)
    again = runs.new().begin("a", "off").restore("a", first.name).seal()
    later = runs.new().begin("a").step("a").seal()
    record = lookup.load_record(later)
    for _ in range(2):  # from the journals, then from the files
        assert [(one.id, len(one.recipes)) for one in past_runs.read_all(runs.base)] == [
            (later.name, 1),
            (again.name, 0),
            (first.name, 1),
        ]
        assert [one.id for one, _ in past_runs.earlier(record, later)[RECIPE]] == [first.name]
    assert past_runs.earlier(lookup.load_record(again), again) == {}
    kept = [store.load(runs.base, one) for one in store.ids(runs.base)]
    assert [one and len(one.recipes) for one in kept] == [1, 1, 1]


def test_two_writers_of_all_runs_do_not_disturb_each_other(runs: Runs) -> None:
    runs.history(*map(float, range(8)))
    barrier, left_out = threading.Barrier(4), list[object]()

    def fill() -> None:
        barrier.wait()
        left_out.extend(backfill.backfill(runs.base).left_out.items())

    threads = [threading.Thread(target=fill) for _ in range(3)]
    for one in threads:
        one.start()
    command = [sys.executable, "-c", OTHER, str(runs.base)]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        barrier.wait()
        process.communicate("go\n", timeout=60)
    for one in threads:
        one.join()

    assert process.returncode == 0
    assert left_out == []
    assert len([*past_runs.read_all(runs.base)]) == 8
    assert [*history_folder(runs.base).rglob(".*")] == []


def test_a_deleted_run_has_a_file(runs: Runs) -> None:
    kept, killed, broken = runs.history(1.0), runs.new().begin("a").cut(), runs.new().seal()
    (broken / "journal.jsonl").unlink()

    assert delete([*kept, killed, broken]) == [*kept, killed, broken]
    assert [one.id for one in past_runs.read_all(runs.base)] == [killed.name, kept[0].name]
    assert lookup.run_folders(runs.base) == []


@pytest.mark.parametrize("torn", ["", '{"version":"1","id":', "torn}\n"])
def test_a_damaged_file_is_written_again_before_its_run_is_deleted(runs: Runs, torn: str) -> None:
    (folder,) = runs.history(1.0)
    file = history_file(runs.base, folder.name)
    file.parent.mkdir(parents=True)
    file.write_text(torn, encoding="utf-8")

    assert delete([folder]) == [folder]
    assert [one.id for one in past_runs.read_all(runs.base)] == [folder.name]


def test_on_a_full_disk_the_file_is_written_after_the_folder_is_deleted(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = runs.history(1.0)
    write = store.write

    def full(base: Path, run: PastRun) -> Path:
        if folder.exists():
            raise OSError(28, "No space left on device")
        return write(base, run)

    monkeypatch.setattr(store, "write", full)

    assert delete([folder]) == [folder]
    assert [one.id for one in past_runs.read_all(runs.base)] == [folder.name]


def test_the_newest_and_all_running_runs_are_kept(runs: Runs) -> None:
    running = runs.new().begin("a")
    first, second, third = runs.history(1.0, 1.0, 1.0)

    assert lookup.prunable(runs.base, 1) == [second, first]
    assert delete(lookup.prunable(runs.base, 1)) == [second, first]
    assert lookup.run_folders(runs.base) == [third, running.folder]
    assert lookup.prunable(runs.base, 0) == []
    running.cut()
