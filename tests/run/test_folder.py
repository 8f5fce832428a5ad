"""Folders of runs: each is one session's alone, and none that goes on is taken away."""

import threading
import time
from pathlib import Path

import pytest

from pytest_orchestrator.core.context import Context
from pytest_orchestrator.core.events import ContextChanged, RunFinished
from pytest_orchestrator.run import folder
from pytest_orchestrator.run.folder import RunFolder, free_id
from pytest_orchestrator.run.journal import Journal
from pytest_orchestrator.run.reader import read
from pytest_orchestrator.run.surroundings import revision, surroundings


def run(number: int) -> str:
    return f"20261125T1015{number:02}Z-7f3a"


def over(base: Path, number: int, keep: int = 0) -> None:
    RunFolder(base, run(number)).open(keep).seal(lambda n: RunFinished(exit_status=0, lines=n))


def test_two_sessions_never_have_one_folder(tmp_path: Path) -> None:
    begun, refused = [], []
    barrier = threading.Barrier(8)

    def begin() -> None:
        barrier.wait()
        try:
            begun.append(RunFolder(tmp_path / "runs", run(1)).open(20))
        except FileExistsError as error:
            refused.append(error)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert (len(begun), len(refused)) == (1, 7)
    begun[0].close()


def test_an_id_that_another_session_has_is_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = iter([run(1), run(1), run(2)])
    monkeypatch.setattr(folder, "new_id", lambda: next(ids))
    (tmp_path / run(1)).mkdir()

    assert free_id(tmp_path) == run(2)


def test_the_oldest_runs_go_but_for_those_that_go_on(tmp_path: Path) -> None:
    goes_on = RunFolder(tmp_path, run(0)).open(0)
    for number in range(1, 6):
        over(tmp_path, number)

    over(tmp_path, 6, keep=2)

    kept = sorted(path.name for path in tmp_path.iterdir() if not path.is_symlink())
    assert kept == [run(0), run(5), run(6)]
    assert (tmp_path / "latest").resolve().name == run(6)
    goes_on.append(ContextChanged(key="a", op="set", who="x", new=1))
    goes_on.close()
    assert len(read(goes_on.path).entries) == 1


def test_runs_of_before_a_clock_was_set_back_go_first(tmp_path: Path) -> None:
    for number in (7, 8, 9, 1):
        over(tmp_path, number)

    over(tmp_path, 2, keep=3)

    kept = sorted(path.name for path in tmp_path.iterdir() if not path.is_symlink())
    assert kept == [run(1), run(2), run(9)]


def test_a_clock_that_goes_back_changes_no_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    context = Context()
    context.observed(journal.append)
    hours = iter([10, 11, 3, 2, 12])
    monkeypatch.setattr(time, "time_ns", lambda: next(hours) * 3_600 * 10**9)

    for number in range(5):
        context.set("a", number)
    journal.close()

    reading = read(journal.path)
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
    assert surroundings(tmp_path)["git"] == {"revision": "c" * 40}
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / ".git").write_text(f"gitdir: {git}\n")
    assert revision(linked) == {"revision": "c" * 40}
