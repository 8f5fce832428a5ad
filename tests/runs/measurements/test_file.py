"""The file of measurements to which sessions append."""

import multiprocessing
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.runs.measurements import file as module
from pytest_orchestrator.runs.measurements.file import MeasurementFile, OtherFile
from pytest_orchestrator.runs.measurements.rows import FORMATS
from tests.runs.measurements.tables import row

NAMES = ("m.csv", "m.jsonl")
HOSTILE = [row('a "quoted"\nname, 5', "x\ny"), row("\n\n\n", '""\n"')]


def whole(path: Path) -> bytes:
    text = FORMATS[path.suffix[1:]]
    return text.header + text.lines(HOSTILE)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_appended_below_one_header(tmp_path: Path, name: str) -> None:
    for _ in range(2):
        one = MeasurementFile(tmp_path / "new" / name)
        one.create()
        for each in HOSTILE:
            one.append([each])
    text = FORMATS[Path(name).suffix[1:]]

    assert (tmp_path / "new" / name).read_bytes() == text.header + text.lines(HOSTILE * 2)


@pytest.mark.parametrize("name", NAMES)
@given(cut=st.integers(0, 400))
def test_the_next_writer_removes_a_row_that_a_killed_one_left_torn(
    tmp_path_factory: pytest.TempPathFactory, name: str, cut: int
) -> None:
    path = tmp_path_factory.mktemp("torn") / name
    data, text = whole(path), FORMATS[path.suffix[1:]]
    path.write_bytes(data[: len(data) - min(cut, len(data))])
    MeasurementFile(path).check()
    MeasurementFile(path).append([row()])

    ends = [len(text.header), len(text.header + text.lines(HOSTILE[:1])), len(data)]
    kept = max([0, *(one for one in ends if one <= len(data) - cut)])
    assert path.read_bytes() == (data[:kept] or text.header) + text.lines([row()])


@pytest.mark.parametrize("name", NAMES)
def test_a_row_that_another_session_left_torn_is_removed_between_two_own(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHUNK", 7)
    one, path = MeasurementFile(tmp_path / name), tmp_path / name
    one.append(HOSTILE)
    before = path.read_bytes()
    path.write_bytes(before + FORMATS[path.suffix[1:]].lines(HOSTILE)[:-9])
    one.append([row()])

    text = FORMATS[path.suffix[1:]]
    assert path.read_bytes() == before + text.lines(HOSTILE[:1]) + text.lines([row()])


def _append(path: Path, count: int) -> None:
    one = MeasurementFile(path)
    for _ in range(count):
        one.append(HOSTILE)


def test_two_sessions_append_to_one_file(tmp_path: Path) -> None:
    path, fork = tmp_path / "m.csv", multiprocessing.get_context("fork")
    both = [fork.Process(target=_append, args=(path, 50)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join()

    text = FORMATS["csv"]
    assert path.read_bytes() == text.header + text.lines(HOSTILE * 100)


def test_a_file_with_other_content_is_refused_and_stays(tmp_path: Path) -> None:
    for name, content, why in (
        ("m.csv", "run,value\n1,2\n", "it has other columns"),
        ("m.jsonl", "[]\n", "its first line is no measurement"),
        ("m.jsonl", '{"other": 1}\n{"torn', "its first line is no measurement"),
    ):
        path = tmp_path / name
        path.write_text(content)
        with pytest.raises(OtherFile) as caught:
            MeasurementFile(path).check()
        assert str(caught.value) == why
        assert path.read_text() == content


def test_a_full_disk_leaves_only_complete_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = MeasurementFile(tmp_path / "m.csv")
    one.append([row()])
    before = one.path.read_bytes()
    real = os.write

    def short(fd: int, data: bytes) -> int:
        if len(data) < 100:
            raise OSError(28, "No space left on device")
        return real(fd, data[:100])

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", short)
        with pytest.raises(OSError, match="No space left"):
            one.append(HOSTILE)
    assert one.path.read_bytes() == before

    one.append([row()])
    assert one.path.read_bytes() == before + FORMATS["csv"].lines([row()])


def test_a_lock_of_another_program_is_an_error_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    waits: list[float] = []
    monkeypatch.setattr(module, "_LONGEST_WAIT", 0.01)
    monkeypatch.setattr("time.sleep", waits.append)
    one = MeasurementFile(tmp_path / "m.csv")
    one.create()
    with one.path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        with pytest.raises(OSError, match="another program holds its lock"):
            one.append([row()])
        waited = len(waits)
        with pytest.raises(OSError, match="another program holds its lock"):
            one.append([row()])
    one.append([row()])

    assert len(waits) <= waited + 1
