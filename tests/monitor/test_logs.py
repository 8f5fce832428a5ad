"""Logs are read by offset, in whole lines while they are written, and from the run alone."""

from pathlib import Path

import pytest

from pytest_orchestrator.monitor.logs import log_of, part, samples_of
from pytest_orchestrator.monitor.run_cache import RunCache
from pytest_orchestrator.runs.folder import RunFile
from tests.monitor.conftest import RUN


def test_what_was_written_since_comes_in_whole_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes("one\ntwö".encode())

    first = part(log, None, is_open=True)
    assert first == ("one\n", 0, 4)
    assert part(log, 4, is_open=True) == ("", 4, 4)
    with log.open("ab") as file:
        file.write(b" \x1b[31m\x07\n")
    assert part(log, 4, is_open=True) == ("twö \\x07\n", 4, 16)
    assert part(log, 4, is_open=False) == ("twö \\x07\n", 4, 16)


def test_of_a_large_log_the_end_is_read_and_no_more(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(100_000)))

    end = part(log, None, is_open=False)
    assert end is not None
    assert end.text.startswith("line ")
    assert end.text.endswith("line 99999\n")
    assert len(end.text) <= 64 * 1024
    assert end.start > 900_000


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "logs/../../secret", "link"])
def test_what_lies_elsewhere_is_not_read(path: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "link").symlink_to(tmp_path / "secret")

    found = RunFile(path).inside(folder)

    assert found is None
    assert part(found, None, is_open=False) is None


def test_a_step_that_goes_on_has_its_files_where_it_will_have_them(bench: Path) -> None:
    watch = RunCache(bench)
    log, samples = watch.see(
        RUN,
        lambda sight: (
            log_of(sight, sight.record.steps[1], "stderr"),
            samples_of(sight, sight.record.steps[1]),
        ),
    )
    assert log == (bench / RUN / "logs/psu/measure.1.stderr").resolve()
    assert samples == (bench / RUN / "resources/psu/measure.1.jsonl").resolve()
