"""Index of the history: its answers are those of the files, whatever happens to it."""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_orchestrator.runs.folder import history_file, history_folder
from pytest_orchestrator.runs.history import store
from pytest_orchestrator.runs.history.model import PastRecipe, PastRun
from pytest_orchestrator.runs.index import database
from pytest_orchestrator.runs.index.database import Index, words_of
from pytest_orchestrator.runs.index.past_runs import read_all

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS = ("A1", "A2", "ü ' ~")
FAILED = "the index of the history cannot be used"
INSTEAD = "all files are read instead"
KEYS = ("a.yaml", "a.yaml[x:1]", "b.yaml")


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add also a single run to the index."""
    monkeypatch.setattr(database, "_MANY", 1)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return tmp_path / ".orchestrator" / "runs"


def run(number: int, unit: str = "A1", *keys: str) -> PastRun:
    """Return a run of a unit; 20 runs are in one month, and two in one second."""
    month, second = divmod(number, 20)
    started = f"2026-{month + 1:02}-02T10:00:{second // 2:02}.{number:06}Z"
    recipes = tuple(
        PastRecipe(
            key=key,
            path=key.partition("[")[0],
            name="psu",
            verdict="passed",
            test_meta={"dut": {"serial": unit, "type": "psu"}, "station": f"st{number % 2}"},
        )
        for key in keys or ("a.yaml",)
    )
    run_id = f"{started[:19].replace('-', '').replace(':', '')}Z-{number:04x}"
    return PastRun(id=run_id, state="finished", verdict="passed", started=started, recipes=recipes)


def answers(base: Path, kind: str, word: str, said: list[str] | None = None) -> list[str]:
    """Return the ids of the runs with a word, found by the index, newest first."""
    with Index(base, on_failure=None if said is None else said.append) as opened:
        among = opened.runs(kind, word)
    return [*having(base, kind, word, among)]


def having(base: Path, kind: str, word: str, among: set[str] | None = None) -> Iterator[str]:
    """Yield the ids of the runs with a word, of all files or of some."""
    runs = read_all(base, among=among)
    return (one.id for one in runs if (kind, word) in {*words_of(one)})


def changed(folder: Path, moment: int) -> None:
    """Give a folder the time of a change long ago, later than those before."""
    time = 10**18 + moment * 10**10
    os.utime(folder, ns=(time, time))


def edit(base: Path, event: str, one: PastRun, moment: int) -> None:
    """Write, tear or delete the file of a run; a torn one is mended in place."""
    file = history_file(base, one.id)
    is_new = not file.exists()
    if event == "prune":
        file.unlink(missing_ok=True)
    elif event == "tear" and is_new:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text('{"version":')
    elif event == "write" and not is_new and store.load(base, one.id) is None:
        file.write_bytes(store.checked(one))
    elif event == "write":
        store.write(base, one)
    if file.parent.exists() and is_new == file.exists():
        changed(file.parent, moment)


_EVENTS = st.sampled_from(["write", "write", "write", "ask", "ask", "delete", "tear", "prune"])


@settings(max_examples=60)
@given(
    events=st.lists(st.tuples(_EVENTS, st.integers(0, 59), st.sampled_from(UNITS)), max_size=30),
    many=st.sampled_from([1, 3, 50]),
)
def test_the_answers_are_those_of_the_files(events: list[tuple[str, int, str]], many: int) -> None:
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(database, "_MANY", many)
        base = Path(folder) / "runs"
        for moment, (event, number, unit) in enumerate(events):
            if event == "ask":
                answers(base, "unit", unit)
            elif event == "delete":
                database.delete(base)
            else:
                edit(base, event, run(number, unit, *KEYS[number % 3 :]), moment)
        for kind, words in (
            ("unit", (*UNITS, "A1 psu", "none")),
            ("key", KEYS),
            ("recipe", ("a.yaml", "psu")),
            ("station", ("st0", "st1", "")),
        ):
            for word in words:
                assert answers(base, kind, word) == [*having(base, kind, word)]


def test_a_question_reads_only_the_files_of_its_answer(base: Path) -> None:
    for number in range(60):
        store.write(base, run(number, f"A{number % 20}"))
    with Index(base) as opened:
        opened.runs("unit", "A3")
    with Index(base) as opened:
        assert opened.runs("unit", "A3") == {run(number).id for number in (3, 23, 43)}
        assert opened.runs("unit", "A3", before=run(43).id, most=1) == {run(23).id}
        assert opened.runs("unit", "none") == set()


def test_a_month_is_listed_again_only_after_a_change(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 21):
        store.write(base, run(number))
    first, second = (history_folder(base) / month for month in ("2026-01", "2026-02"))
    changed(first, 1)
    changed(second, 1)
    answers(base, "unit", "A1")
    store.write(base, run(22))
    listed: list[str] = []
    ids_of = store.ids_of

    def listing(at: Path, month: str) -> list[str]:
        listed.append(month)
        return ids_of(at, month)

    monkeypatch.setattr(store, "ids_of", listing)
    with Index(base) as opened:
        assert opened.runs("unit", "A1") == {run(number).id for number in (1, 21, 22)}
    assert listed == ["2026-02"]


def test_a_change_that_the_time_of_a_folder_does_not_show_yet_is_found(base: Path) -> None:
    store.write(base, run(1))
    folder = history_folder(base) / "2026-01"
    before = folder.stat().st_mtime_ns
    answers(base, "unit", "A1")
    store.write(base, run(2))
    os.utime(folder, ns=(before, before))

    assert answers(base, "unit", "A1") == [run(2).id, run(1).id]


def test_a_torn_file_is_read_again_by_each_question(base: Path) -> None:
    one = run(2, "A2")
    store.write(base, run(1))
    edit(base, "tear", one, 1)
    for _ in range(2):
        assert answers(base, "unit", "A2") == []
        with Index(base) as opened:
            assert opened.runs("unit", "A2") == {one.id}
    edit(base, "write", one, 2)

    assert answers(base, "unit", "A2") == [one.id]


def test_a_few_new_runs_are_answers_without_a_write(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_MANY", 3)
    file = history_folder(base) / database.NAME
    store.write(base, run(1))
    store.write(base, run(2, "A2"))
    assert answers(base, "unit", "A1") == [run(1).id]
    assert not file.exists()
    store.write(base, run(3))
    assert answers(base, "unit", "A1") == [run(3).id, run(1).id]
    before = file.read_bytes()
    store.write(base, run(4))
    assert answers(base, "unit", "A1") == [run(4).id, run(3).id, run(1).id]
    assert file.read_bytes() == before


def filled(base: Path) -> Path:
    """Write six runs of two units and their index, and return its file."""
    for number in range(6):
        store.write(base, run(number, UNITS[number % 2]))
    answers(base, "unit", "A1")
    return history_folder(base) / database.NAME


EXPECTED = [run(number).id for number in (4, 2, 0)]


def test_a_damaged_index_is_named_and_written_anew(base: Path) -> None:
    file = filled(base)
    file.write_bytes(b"no database" * 1000)
    said: list[str] = []

    assert answers(base, "unit", "A1", said) == EXPECTED
    assert said == [f"{FAILED}: file is not a database; {INSTEAD}"]
    assert answers(base, "unit", "A1", said) == EXPECTED
    with closing(sqlite3.connect(file)) as anew:
        rows = anew.execute("SELECT count(*) FROM words").fetchone()
    assert (len(said), rows) == (1, (42,))


def test_pages_that_are_damaged_are_found_while_they_are_read(base: Path) -> None:
    file = filled(base)
    data = bytearray(file.read_bytes())
    data[4096 + 8 :] = b"\xff" * (len(data) - 4096 - 8)
    file.write_bytes(data)
    said: list[str] = []

    assert answers(base, "unit", "A1", said) == EXPECTED
    assert [one.partition(":")[0] for one in said] == [FAILED]


def test_an_index_of_another_program_is_left_alone(base: Path) -> None:
    file = filled(base)
    file.unlink()
    said: list[str] = []
    with closing(sqlite3.connect(file)) as foreign:
        foreign.execute("CREATE TABLE words (x)")

        assert answers(base, "unit", "A1", said) == EXPECTED
        assert said == [f"{FAILED}: no such column: run; {INSTEAD}"]
        assert foreign.execute("SELECT count(*) FROM words").fetchone() == (0,)


def test_an_index_that_is_locked_is_not_waited_for(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_LOCK_SECONDS", 0.01)
    file = filled(base)
    store.write(base, run(8))
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    said: list[str] = []

    assert answers(base, "unit", "A1", said) == [run(8).id, *EXPECTED]
    assert said == [f"{FAILED}: database is locked; {INSTEAD}"]
    other.close()


def test_an_index_that_cannot_be_written_is_named(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> sqlite3.Connection:
        raise sqlite3.OperationalError("database or disk is full")

    filled(base)
    store.write(base, run(8))
    monkeypatch.setattr(Index, "_add", full)
    said: list[str] = []

    assert answers(base, "unit", "A1", said) == [run(8).id, *EXPECTED]
    assert said == [f"{FAILED}: database or disk is full; {INSTEAD}"]


def test_an_index_may_be_deleted_while_it_is_read(base: Path) -> None:
    filled(base)
    with Index(base) as opened:
        database.delete(base)
        assert opened.runs("unit", "A1") == {*EXPECTED}
    assert answers(base, "unit", "A1") == EXPECTED


def test_writers_of_one_index_do_not_disturb_each_other(base: Path) -> None:
    for number in range(60):
        store.write(base, run(number, UNITS[number % 2]))
    barrier, found, said = threading.Barrier(4), list[list[str]](), list[str]()

    def ask() -> None:
        barrier.wait()
        found.append(answers(base, "unit", "A1", said))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()

    assert (found, said) == ([[run(number).id for number in range(58, -1, -2)]] * 4, [])


def test_a_history_that_does_not_exist_gets_no_index(base: Path) -> None:
    assert answers(base, "unit", "A1") == []
    assert not history_folder(base).exists()
