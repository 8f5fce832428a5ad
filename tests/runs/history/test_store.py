"""Files of the history store: written once, read newest first, deleted on request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_orchestrator.runs.folder import history_file, history_folder
from pytest_orchestrator.runs.history import store
from pytest_orchestrator.runs.history.model import PastRun
from pytest_orchestrator.runs.index.past_runs import read_all


def run(day: int, number: int = 1, **fields: Any) -> PastRun:
    started = f"2026-{10 + day // 31:02}-{day % 31 + 1:02}T10:00:00.{number:06}Z"
    run_id = f"{started[:19].replace('-', '').replace(':', '')}Z-{9 - number:04x}"
    return PastRun(id=run_id, state="finished", verdict="passed", started=started, **fields)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / ".orchestrator" / "runs"


def test_runs_are_read_newest_first_also_those_of_one_second(base: Path) -> None:
    runs = [run(3), run(40), run(40, 9), run(40, 5)]
    for one in runs:
        store.write(base, one)

    assert [*read_all(base)] == [runs[2], runs[3], runs[1], runs[0]]
    assert history_file(base, runs[0].id) == (
        base.parent / "history" / "2026-10" / f"{runs[0].id}.json"
    )


def test_the_history_of_a_folder_with_another_name_has_that_name(tmp_path: Path) -> None:
    assert history_folder(tmp_path / "bench_a") == tmp_path / "bench_a-history"
    assert history_folder(Path("runs")) == Path.cwd() / "runs-history"
    assert history_folder(Path(".orchestrator/runs")) == Path.cwd() / ".orchestrator" / "history"


def test_files_are_read_only_when_their_run_is_asked_for(base: Path) -> None:
    for day in range(3):
        store.write(base, run(day))
    reader = read_all(base)
    next(reader)
    history_file(base, run(0).id).write_text("")

    assert next(reader) == run(1)


def test_a_file_is_never_changed(base: Path) -> None:
    path = store.write(base, run(1))
    before = path.stat()

    assert store.write(base, run(1, host="other")) == path
    assert path.stat() == before


def test_files_that_are_no_runs_are_left_out_and_named(base: Path) -> None:
    good, *others = (store.write(base, run(day)) for day in range(4))
    others[0].write_text("{")
    others[1].write_text('{"version":"2","id":"x","state":"finished","verdict":"passed"}')
    others[2].write_bytes(good.read_bytes())  # the run of another file
    (good.parent / "notes.txt").write_text("")
    (good.parent.parent / "2026-1").mkdir()
    (good.parent.parent / "2026-12").symlink_to(good.parent)
    (good.parent / "20261005T100000Z-0008.json").mkdir()
    problems: list[tuple[str, str]] = []

    runs = read_all(base, on_problem=lambda path, why: problems.append((path.name, why)))

    assert [*runs] == [run(0)]
    no_run = "it is no run of this version"
    assert problems == [
        ("20261005T100000Z-0008.json", "Is a directory"),
        *((path.name, no_run) for path in reversed(others)),
    ]


def test_a_run_that_cannot_be_read_back_is_not_written(base: Path) -> None:
    bad: Any = 7

    with pytest.raises(store.NotKept, match="other types"):
        store.write(base, run(1, host=bad))
    with pytest.raises(store.NotKept):
        store.write(base, run(1, environment={"x": object()}))
    assert not history_folder(base).exists()


_KILLED = """
import os, signal, sys
from pathlib import Path
from pytest_orchestrator.runs.history import store
from tests.runs.history.test_store import run
def kill(_):
    os.kill(os.getpid(), signal.SIGKILL)
os.fsync = kill
store.write(Path(sys.argv[1]), run(1))
"""


def test_a_writer_that_is_killed_leaves_no_torn_file(base: Path) -> None:
    root = Path(__file__).parents[3]
    killed = subprocess.run([sys.executable, "-c", _KILLED, str(base)], cwd=root, check=False)
    assert killed.returncode == -signal.SIGKILL

    assert [*read_all(base)] == []
    path = store.write(base, run(1))

    assert [*read_all(base)] == [run(1)]
    assert path.is_file()


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/dev/full").exists(), reason="no full device")
def test_a_full_disk_leaves_no_file(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(OSError, match="No space left"):
        store.write(base, run(1))
    assert [*history_folder(base).rglob("*.json")] == []
    assert [*history_folder(base).rglob(".*")] == []


def test_pruning_deletes_old_files_but_not_those_of_runs_that_exist(base: Path) -> None:
    for day in range(4):
        store.write(base, run(day))
    store.write(base, run(40))
    (base / run(1).id).mkdir(parents=True)

    pruned = store.prune(base, datetime(2026, 10, 4, tzinfo=UTC))

    assert pruned == ([run(2).id, run(0).id], [run(1).id])
    assert [one.id for one in read_all(base)] == [run(day).id for day in (40, 3, 1)]
    store.prune(base, datetime(2027, 1, 1, tzinfo=UTC))
    assert not (history_folder(base) / "2026-11").exists()


def test_pruning_leaves_a_folder_that_is_named_like_a_file(base: Path) -> None:
    store.write(base, run(0))
    store.write(base, run(2))
    odd = history_folder(base) / "2026-10" / f"{run(1).id}.json"
    odd.mkdir()

    assert store.prune(base, datetime(2027, 1, 1, tzinfo=UTC)).deleted == [run(2).id, run(0).id]
    assert odd.is_dir()
