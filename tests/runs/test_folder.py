"""Run folders: one session each, retention, provenance."""

import fcntl
import os
import re
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.context import Context
from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import ContextChanged, RunFinished
from pytest_orchestrator.runs import folder, lookup
from pytest_orchestrator.runs.folder import RunFolder, free_id, is_run, new_id
from pytest_orchestrator.runs.history.retention import delete
from pytest_orchestrator.runs.journal.reader import read_journal
from pytest_orchestrator.runs.journal.writer import Journal, is_being_written
from pytest_orchestrator.runs.provenance import provenance, revision


def run(number: int) -> str:
    return f"20261125T1015{number:02}Z-7f3a"


def finished_run(base: Path, number: int, keep: int = 0) -> None:
    journal = RunFolder(base, run(number)).open()
    delete(lookup.prunable(base, keep, run(number)))
    journal.seal(lambda n: RunFinished(exit_status=0, lines=n))


def test_two_sessions_never_have_one_folder(tmp_path: Path) -> None:
    begun, refused = [], []
    barrier = threading.Barrier(8)

    def begin() -> None:
        barrier.wait()
        try:
            begun.append(RunFolder(tmp_path / "runs", run(1)).open())
        except FileExistsError as error:
            refused.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(begun), len(refused)) == (1, 7)
    begun[0].close()


def test_an_id_of_another_session_is_not_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter([run(1), run(1), run(2)])
    monkeypatch.setattr(folder, "new_id", lambda _: next(ids))
    (tmp_path / run(1)).mkdir()

    assert free_id(tmp_path) == run(2)


@pytest.mark.parametrize(
    ("station", "word"),
    [
        ("", ""),
        ("bench-3", "bench-3-"),
        ("Bench 3 / Hall B", "Bench-3-Hall-B-"),
        ("a_very_long_name_of_a_bench", "a-very-long-name-"),
        ("fifteen-letters-and", "fifteen-letters-"),
        ("../../x", "x-"),
        ("Prüfstand", "Prufstand-"),
        ("台", ""),
    ],
)
def test_an_id_has_the_station_in_signs_that_every_file_system_takes(
    station: str, word: str
) -> None:
    made = new_id(station)

    assert re.fullmatch(rf"\d{{8}}T\d{{6}}Z-{word}[0-9a-f]{{12}}", made)
    assert is_run(Path(made))
    assert {new_id(station)[-12:] for _ in range(100)}.isdisjoint({made[-12:]})


@given(st.text())
def test_any_name_of_a_station_gives_an_id(station: str) -> None:
    made = new_id(station)

    assert is_run(Path(made))
    assert len(made) <= len("20261125T101502Z--7f3a91c0d2e4") + 16


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("20261125T101502Z-7f3a", True),
        ("20261125T101502Z-7f3a91c0d2e4", True),
        ("20261125T101502Z-bench-3-7f3a91c0d2e4", True),
        ("20261125T101502Z-bench_3-7f3a91c0d2e4", False),
        ("20261125T101502Z-a-bench-with-a-long-name-7f3a91c0d2e4", False),
        ("20261125T101502Z-bench-7f3a", False),
        ("20261125T101502Z-7f3a91", False),
        ("20261125T101502Z-7F3A", False),
    ],
)
def test_ids_of_this_version_and_of_earlier_ones_are_runs(name: str, is_one: bool) -> None:
    assert is_run(Path(name)) is is_one


def test_the_oldest_runs_are_deleted_except_running_ones(tmp_path: Path) -> None:
    running = RunFolder(tmp_path, run(0)).open()
    for number in range(1, 6):
        finished_run(tmp_path, number)

    finished_run(tmp_path, 6, keep=2)

    kept = sorted(path.name for path in tmp_path.iterdir() if not path.is_symlink())
    assert kept == [run(0), run(5), run(6)]
    assert (tmp_path / "latest").resolve().name == run(6)
    running.append(ContextChanged(key="a", op="set", who="x", new=1))
    running.close()
    assert len(read_journal(running.path).entries) == 1


def test_no_lock_that_a_reader_of_the_project_can_hold_prevents_a_session(
    tmp_path: Path,
) -> None:
    for number in range(3):
        finished_run(tmp_path, number)
    held = [os.open(path, os.O_RDONLY) for path in (tmp_path, tmp_path.parent, tmp_path / run(2))]
    for fd in held:
        fcntl.flock(fd, fcntl.LOCK_EX)

    beginning = threading.Thread(target=finished_run, args=(tmp_path, 3, 2), daemon=True)
    beginning.start()
    beginning.join(30)
    has_begun = not beginning.is_alive()
    for fd in held:
        os.close(fd)

    assert has_begun
    assert sorted(path.name for path in tmp_path.iterdir()) == [run(2), run(3), "latest"]


def test_a_session_that_prunes_keeps_a_run_that_is_being_created(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def make(path: Path) -> Journal:
        monkeypatch.setattr(folder, "Journal", Journal)
        finished_run(tmp_path, 2, keep=1)
        seen.extend(one.name for one in lookup.run_folders(tmp_path))
        return Journal(path)

    monkeypatch.setattr(folder, "Journal", make)
    journal = RunFolder(tmp_path, run(1)).open()

    assert seen == [run(2)]
    assert is_being_written(tmp_path / run(1) / "journal.jsonl")
    assert journal.path == tmp_path / run(1) / "journal.jsonl"
    assert journal.path.is_file()
    journal.close()


def test_the_draft_of_a_session_that_was_killed_is_deleted_after_a_day(tmp_path: Path) -> None:
    for name, age in (("old", 90_000), ("young", 80_000)):
        draft = tmp_path / f".new-{name}" / run(0)
        draft.mkdir(parents=True)
        os.utime(draft.parent, (time.time() - age,) * 2)

    finished_run(tmp_path, 1, keep=5)

    names = {path.name for path in tmp_path.iterdir()}
    assert names == {".new-young", run(1), "latest"}


def test_the_error_of_a_folder_that_cannot_be_created_names_its_final_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    def fail(path: Path) -> Journal:
        raise JournalError(f"the journal {path} cannot be made: No space left on device")

    monkeypatch.setattr(folder, "Journal", fail)
    with pytest.raises(JournalError) as full:
        RunFolder(tmp_path, run(1)).open()
    monkeypatch.setattr(Path, "mkdir", lambda *a, **k: None if k.get("parents") else refuse(*a))
    with pytest.raises(PermissionError) as denied:
        RunFolder(tmp_path, run(1)).open()

    own = tmp_path / run(1)
    assert str(full.value) == (
        f"the journal {own}/journal.jsonl cannot be made: No space left on device"
    )
    assert str(denied.value) == f"[Errno 13] Permission denied: '{own}'"
    assert list(tmp_path.iterdir()) == []


def test_runs_from_before_a_clock_was_set_back_are_deleted_first(tmp_path: Path) -> None:
    for number in (7, 8, 9, 1):
        finished_run(tmp_path, number)

    finished_run(tmp_path, 2, keep=3)

    kept = sorted(path.name for path in tmp_path.iterdir() if not path.is_symlink())
    assert kept == [run(1), run(2), run(9)]


def test_a_clock_that_is_set_back_does_not_change_the_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    context = Context()
    context.set_callbacks(journal.append)
    hours = iter([10, 11, 3, 2, 12])
    monkeypatch.setattr(time, "time_ns", lambda: next(hours) * 3_600 * 10**9)

    for number in range(5):
        context.set("a", number)
    journal.close()

    reading = read_journal(journal.path)
    assert (reading.state, reading.damage) == ("interrupted", None)
    assert [entry.event.new for entry in reading.entries] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    moments = [change["ts"] for change in context.get_history("a")]
    assert moments == sorted(set(moments)) == [entry.ts for entry in reading.entries]


def test_the_revision_of_a_project_is_read_where_git_keeps_it(tmp_path: Path) -> None:
    git = tmp_path / ".git"
    (git / "refs/heads").mkdir(parents=True)
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (tmp_path / "inner").mkdir()

    assert revision(tmp_path / "inner") == {"branch": "main"}
    (git / "packed-refs").write_text(f"# pack-refs\n{'a' * 40} refs/heads/main\n")
    assert revision(tmp_path / "inner") == {"branch": "main", "revision": "a" * 40}
    (git / "refs/heads/main").write_text(f"{'b' * 40}\n")
    assert revision(tmp_path) == {"branch": "main", "revision": "b" * 40}
    (git / "HEAD").write_text(f"{'c' * 40}\n")
    assert provenance(tmp_path)["git"] == {"revision": "c" * 40}
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / ".git").write_text(f"gitdir: {git}\n")
    assert revision(linked) == {"revision": "c" * 40}
