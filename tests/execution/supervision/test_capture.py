"""Logs of programs: the times at which their parts arrived."""

from pathlib import Path

import pytest

from pytest_orchestrator.execution.supervision import capture


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(capture, "time", clock)
    return clock


def written(path: Path, clock: Clock, *chunks: tuple[float, bytes], limit: int = 1000) -> str:
    """Return the times of a log; each chunk arrives some seconds after the start."""
    log = capture.LogFile(str(path), limit, None, capture.TimeMarks(str(path)))
    start = clock.now
    for seconds, chunk in chunks:
        clock.now = start + seconds
        log.feed(chunk)
    log.close()
    times = path.with_name(f"{path.name}.times")
    return times.read_text() if times.exists() else ""


def test_the_times_of_a_log_have_the_offsets_of_parts_that_came_later(
    tmp_path: Path, clock: Clock
) -> None:
    chunks = (0.01, b"one\n"), (0.2, b"two\n"), (0.25, b"three\n"), (3.5, b"four\n")

    assert written(tmp_path / "log", clock, *chunks) == "4 200\n14 3500\n"


def test_a_short_step_has_no_file_of_times(tmp_path: Path, clock: Clock) -> None:
    assert written(tmp_path / "log", clock, (0.0, b"one\n"), (0.09, b"two\n")) == ""
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_parts_beyond_the_limit_of_a_log_have_no_times(tmp_path: Path, clock: Clock) -> None:
    chunks = (0.2, b"one\n"), (1, b"two\n")

    assert written(tmp_path / "log", clock, *chunks, limit=4) == "0 200\n"


def test_the_times_of_a_long_step_become_sparse(tmp_path: Path, clock: Clock) -> None:
    chunks = [(number * 0.11, b"x") for number in range(1, 12_001)]

    times = written(tmp_path / "log", clock, *chunks, limit=100_000)

    assert 8_000 < times.count("\n") < 9_000


def test_a_log_that_replaces_another_one_does_not_have_its_times(
    tmp_path: Path, clock: Clock
) -> None:
    assert written(tmp_path / "log", clock, (0.2, b"one\n"))

    assert written(tmp_path / "log", clock, (0.01, b"two\n")) == ""
    assert (tmp_path / "log").read_text() == "two\n"
    assert written(tmp_path / "log", clock, (0.5, b"three\n")) == "0 500\n"


def test_a_log_is_written_where_its_times_cannot_be(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "log.times").mkdir()

    log = capture.LogFile(str(tmp_path / "log"), 9, None, capture.TimeMarks(str(tmp_path / "log")))
    clock.now += 1
    log.feed(b"one\n")

    assert log.close()["error"] is None
    assert (tmp_path / "log").read_bytes() == b"one\n"
