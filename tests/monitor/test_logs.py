"""Logs are read by offset, in complete lines while written, and only inside the run folder."""

from pathlib import Path

import pytest

from pytest_orchestrator.monitor.logs import log_path, read_chunk, samples_path
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.runs.folder import RunFile
from tests.monitor.conftest import RUN


def test_new_output_is_returned_in_complete_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes("one\ntwö".encode())

    first = read_chunk(log, None, is_open=True)
    assert first == ("one\n", 0, 4)
    assert read_chunk(log, 4, is_open=True) == ("", 4, 4)
    with log.open("ab") as file:
        file.write(b" \x1b[31m\x07\n")
    assert read_chunk(log, 4, is_open=True) == ("twö \\x07\n", 4, 16)
    assert read_chunk(log, 4, is_open=False) == ("twö \\x07\n", 4, 16)


def test_only_the_end_of_a_large_log_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))

    end = read_chunk(log, None, is_open=False)
    assert end is not None
    assert end.text.startswith("line ")
    assert end.text.endswith("line 99999\n")
    assert len(end.text) <= 64 * 1024
    assert end.start > 900_000


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "logs/../../secret", "link"])
def test_file_outside_of_the_run_folder_is_not_read(path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")

    resolved = RunFile(path).inside(folder)

    assert resolved is None
    assert read_chunk(resolved, None, is_open=False) is None


def test_running_step_has_the_file_names_of_its_current_attempt(bench: Path) -> None:
    run_cache = RunCache(bench)
    log, samples = run_cache.read(
        RUN,
        lambda view: (
            log_path(view, view.record.steps[1], "stderr"),
            samples_path(view, view.record.steps[1]),
        ),
    )
    assert log == (bench / RUN / "logs/psu/measure.1.stderr").resolve()
    assert samples == (bench / RUN / "resources/psu/measure.1.jsonl").resolve()
