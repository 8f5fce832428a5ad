"""Journal writer: durability, damage, concurrent and interrupted writes."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.core.errors import JournalError
from pytest_orchestrator.core.events import ContextChanged, RunFinished, RunStarted, StepFinished
from pytest_orchestrator.runs.journal.reader import JournalParser, read_journal
from pytest_orchestrator.runs.journal.writer import Journal, is_being_written

if TYPE_CHECKING:
    from pathlib import Path


def change(new: object, key: str = "a") -> ContextChanged:
    return ContextChanged(key=key, op="set", who="test", new=new)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def sealed(path: Path, *values: object) -> Path:
    journal = Journal(path)
    journal.append(RunStarted(schema_version="1.0", run="r"))
    for value in values:
        journal.append(change(value))
    journal.seal(lambda lines: RunFinished(exit_status=0, lines=lines))
    return path


def test_a_journal_is_read_as_it_was_written(path: Path) -> None:
    reading = read_journal(sealed(path, 1, {"b": [2]}, "ü\n"))

    assert (reading.state, reading.damage, reading.torn) == ("finished", None, 0)
    assert [entry.event for entry in reading.entries[1:4]] == [
        change(1),
        change({"b": [2]}),
        change("ü\n"),
    ]
    assert reading.size == path.stat().st_size


def test_a_second_writer_is_refused(path: Path) -> None:
    journal = Journal(path)

    with pytest.raises(JournalError, match="another process writes it"):
        Journal(path)
    journal.close()
    with pytest.raises(JournalError, match="File exists"):
        Journal(path)


def test_a_journal_is_running_while_a_process_writes_it(path: Path) -> None:
    journal = Journal(path)
    journal.append(change(1))

    assert is_being_written(path)
    assert read_journal(path).state == "running"
    journal.close()
    assert not is_being_written(path)
    assert read_journal(path).state == "interrupted"


@pytest.mark.parametrize("cut", [1, 30, 66])
def test_a_torn_last_line_is_no_damage(path: Path, cut: int) -> None:
    data = sealed(path, 1, 2).read_bytes()
    last = data.rstrip(b"\n").rfind(b"\n") + 1
    path.write_bytes(data[: last + cut])
    reading = read_journal(path)

    assert (reading.state, reading.torn, len(reading.entries)) == ("interrupted", cut, 3)


def test_a_cut_between_two_lines_reads_as_interrupted(path: Path) -> None:
    lines = sealed(path, 1, 2).read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]))

    assert read_journal(path).state == "interrupted"


def test_each_changed_byte_is_named_by_its_line(path: Path) -> None:
    data = sealed(path, 1, [2], None).read_bytes()
    for place in range(len(data) - 1):
        path.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
        reading = read_journal(path)
        assert reading.damage is not None
        assert reading.damage.line == data.count(b"\n", 0, place) + 1
        assert len(reading.entries) == reading.damage.line - 1


def test_bytes_after_the_sealing_line_are_damage(path: Path) -> None:
    data = sealed(path, 1).read_bytes()
    path.write_bytes(data + b"x")

    assert str(read_journal(path).damage) == "line 4: it stands behind the end of the run"
    path.write_bytes(data + data)
    assert str(read_journal(path).damage) == "line 4: it stands behind the end of the run"


def test_a_tail_parses_chunks_of_any_size(path: Path) -> None:
    data, tail = sealed(path, "ü" * 50, 2).read_bytes(), JournalParser()
    pieces = [entry for place in range(len(data)) for entry in tail.feed(data[place : place + 1])]

    assert pieces == read_journal(path).entries
    assert tail.finished


def test_a_journal_continues_after_the_entries_that_were_read(path: Path) -> None:
    journal = Journal(path)
    journal.append(change(1))
    journal.close()
    again = Journal(path, read_journal(path).chain)
    again.append(change(2))
    again.close()

    assert [entry.event for entry in read_journal(path).entries] == [change(1), change(2)]


def test_threads_write_one_unbroken_journal(path: Path) -> None:
    journal, gate = Journal(path), threading.Barrier(8)

    def write(name: int) -> None:
        gate.wait()
        for number in range(200):
            journal.append(change(number, f"k{name}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    reading = read_journal(path)

    assert (reading.damage, len(reading.entries)) == (None, 1600)


def test_a_forked_process_neither_writes_nor_locks_the_journal(path: Path) -> None:
    journal = Journal(path)
    journal.append(change(1))
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        try:
            journal.append(change(2))
            os.write(ready[1], b"x")
            os.close(go[1])
            os.read(go[0], 1)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)  # `os._exit` would save the coverage first
    os.close(ready[1])
    assert os.read(ready[0], 1) == b"x"
    journal.close()

    assert not is_being_written(path)
    os.write(go[1], b"x")
    os.waitpid(child, 0)
    assert [entry.event for entry in read_journal(path).entries] == [change(1)]


def test_a_line_that_does_not_fit_is_removed_and_raises_an_error(path: Path) -> None:
    journal = Journal(path)
    journal.append(change(1))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, limits[1]))
    try:
        with pytest.raises(JournalError, match="cannot be written: File too large") as caught:
            journal.append(change(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)

    assert journal.failed is caught.value
    with pytest.raises(JournalError, match="File too large"):
        journal.append(change(3))
    reading = read_journal(path)
    assert (reading.torn, [entry.event for entry in reading.entries]) == (0, [change(1)])


_WRITES = """
import sys
from pathlib import Path
from pytest_orchestrator.core.events import ContextChanged
from pytest_orchestrator.runs.journal.writer import Journal

journal, number = Journal(Path(sys.argv[1])), 0
while True:
    number += 1
    journal.append(ContextChanged(key="a", op="set", who="test", new=number))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_a_killed_process_loses_no_event_that_append_returned_from(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", _WRITES, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        for _ in range(100):
            process.stdout.readline()
        process.kill()
        rest = process.stdout.read()
    printed = 100 + rest.count(b"\n")
    reading = read_journal(path)

    assert reading.state == "interrupted"
    assert len(reading.entries) >= printed


def test_ctrl_c_and_a_signal_handler_that_writes_leave_a_valid_journal(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(path)
    journal.append(change(1))
    write = os.write
    acts = [lambda: journal.append(change("within")), lambda: None]

    def within(fd: int, data: bytes) -> int:
        if acts:
            acts.pop(0)()
        return write(fd, data)

    def cut(fd: int, data: bytes) -> int:
        write(fd, data[:20])
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", within)
        journal.append(change(2))
        patched.setattr(os, "write", cut)
        with pytest.raises(KeyboardInterrupt):
            journal.append(change("never"))
    journal.append(change(3))
    journal.close()

    reading = read_journal(path)
    assert (reading.state, reading.damage, reading.torn) == ("interrupted", None, 0)
    assert [entry.event for entry in reading.entries] == [
        change(1),
        change(2),
        change("within"),
        change(3),
    ]


_HARMS = {
    "removed": "was taken away (No such file or directory)",
    "moved": "was taken away (No such file or directory)",
    "replaced": "was replaced by another file",
    "emptied": "has 0 bytes, and {size:,} were written",
    "longer": "has {more:,} bytes, and {size:,} were written",
}


def _harm(path: Path, how: str) -> None:
    match how:
        case "removed":
            path.unlink()
        case "moved":
            path.rename(path.with_name("elsewhere"))
        case "replaced":
            copy = path.with_name("copy")
            copy.write_bytes(path.read_bytes())
            copy.rename(path)
        case "emptied":
            path.write_bytes(b"")
        case _:
            with path.open("ab") as file:
                file.write(b"x")


@pytest.mark.parametrize("how", _HARMS)
def test_a_changed_journal_file_refuses_further_steps(path: Path, how: str) -> None:
    journal = Journal(path)
    journal.append(RunStarted(schema_version="1.0", run="r"))
    journal.append(finished("one"))
    size = path.stat().st_size
    _harm(path, how)
    left = path.read_bytes() if path.exists() else None

    with pytest.raises(JournalError) as caught:
        journal.append(finished("two"))

    why = _HARMS[how].format(size=size, more=size + 1)
    message = f"the journal {path} {why}, as was noticed after step 'two' of recipes/a.yaml"
    assert str(caught.value) == str(journal.failed) == message
    assert (path.read_bytes() if path.exists() else None) == left
    with pytest.raises(JournalError):
        journal.append(change(1))


@pytest.mark.parametrize("how", _HARMS)
def test_a_changed_journal_file_is_not_sealed(path: Path, how: str) -> None:
    journal = Journal(path)
    journal.append(RunStarted(schema_version="1.0", run="r"))
    journal.check()
    size = path.stat().st_size
    _harm(path, how)

    with pytest.raises(JournalError) as checked:
        journal.check()
    with pytest.raises(JournalError):
        journal.seal(lambda lines: RunFinished(exit_status=0, lines=lines))

    why = _HARMS[how].format(size=size, more=size + 1)
    message = f"the journal {path} {why}, as was noticed at the end of the session"
    assert str(checked.value) == message


def finished(step: str) -> StepFinished:
    return StepFinished(
        recipe="recipes/a.yaml", step=step, outcome="passed", meets=True, block={}, result=None
    )
