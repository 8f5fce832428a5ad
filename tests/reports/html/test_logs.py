"""Logs on a page: numbers, times and links of their lines."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_orchestrator.context.history import stamp
from pytest_orchestrator.reports.html.budget import Files
from pytest_orchestrator.reports.html.output import Log, logs
from pytest_orchestrator.reports.html.render import html
from pytest_orchestrator.runs.folder import LogFile, RunFile
from pytest_orchestrator.runs.lookup import load_record
from tests.reports.sample_run import BEGIN, SampleRun


def log_of(folder: Path, data: bytes, times: str = "", most: int = 2_000) -> Log:
    (folder / "x.stdout").write_bytes(data)
    beside = folder / "x.stdout.times"
    beside.write_text(times)
    found = {"stdout": LogFile(RunFile("x.stdout"), len(data), cut=False)}
    (log,) = logs(Files(folder, ""), found, most, "L7")
    return log


def test_the_end_of_a_long_log_has_the_numbers_of_its_lines_in_the_file(tmp_path: Path) -> None:
    log = log_of(tmp_path, b"".join(b"line %d\n" % number for number in range(1, 5_001)))

    assert (log.anchor, log.is_whole) == ("L7o", False)
    assert log.lines[-1].html == "line 5000"
    assert log.first + len(log.lines) - 1 == 5_000
    assert log.lines[0].html == f"line {log.first}"


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_lines_have_the_times_at_which_they_arrived(tmp_path: Path, end: bytes) -> None:
    log = log_of(tmp_path, b"one\ntwo\nthree\nfour" + end, "4 200\n14 3500\n")

    shown = [(one.time, one.html) for one in log.lines]
    assert shown == [("0.0", "one"), ("0.2", "two"), ("", "three"), ("3.5", "four")]
    assert log.is_timed


@pytest.mark.parametrize("times", ["", "x y\n", "9 1\n4 2\n", "4\n", "-4 1\n"])
def test_a_damaged_file_of_times_gives_no_times(tmp_path: Path, times: str) -> None:
    log = log_of(tmp_path, b"one\ntwo\n", times)

    assert [one.time for one in log.lines] == ["", ""]


def test_a_colour_lasts_until_a_later_line_ends_it(tmp_path: Path) -> None:
    log = log_of(tmp_path, b"a\x1b[31mb\nc<\nd\x1b[0me\n")

    assert [str(one.html) for one in log.lines] == [
        'a<span class="f1">b</span>',
        '<span class="f1">c&lt;</span>',
        '<span class="f1">d</span>e',
    ]


@given(st.lists(st.sampled_from([b"", b"a", b"bb\r", b"\xff" * 40, b"y" * 300])), st.booleans())
def test_each_line_has_the_number_that_a_text_editor_shows(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], ends: bool
) -> None:
    numbered = [b"%d:%s" % (number, piece) for number, piece in enumerate(pieces, 1)]
    data = b"\n".join(numbered) + (b"\n" if ends and numbered else b"")

    log = log_of(tmp_path_factory.mktemp("log"), data, "0 100\n")

    for number, line in enumerate(log.lines, log.first):
        assert re.match(rf"{number}:", str(line.html))
    if log.lines:
        assert log.first + len(log.lines) - 1 == len(pieces)


def test_lines_are_targets_of_links_once_on_the_page_and_attempts_have_their_output(
    tmp_path: Path,
) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    first = run.log("a.1.stdout", "first\nattempt\n")
    run.step(
        "a",
        "failed",
        (0, 1),
        logs={"stdout": run.log("a.2.stdout", "last\nattempt\n")},
        attempts=[
            {
                "attempt": 1,
                "kind": "exit_code",
                "reason": "exit code 1, expected 0",
                "start": stamp(BEGIN),
                "seconds": 0.1,
                "logs": {"stdout": first},
            }
        ],
        step={"attempt": 2, "reason": "exit code 1, expected 0", "kind": "exit_code"},
    )
    run.seal(1)

    page = html(load_record(run.folder), run.folder)

    targets = re.findall(r"<i id=(\w+)", page)
    assert targets == ["L1a1o1", "L1a1o2", "L1o1", "L1o2"]
    assert set(re.findall(r"<a href=#(\w+)", page)) == {*targets}
    assert "Output of attempt 1" in page


def test_a_killed_run_lasted_at_least_until_its_last_output(tmp_path: Path) -> None:
    run = SampleRun(tmp_path / "run")
    run.begin({"a": []})
    run.start("a", 1.0)
    run.log("a.1.stdout", "one\ntwo\n")
    run.write("logs/psu_burn_in/a.1.stdout.times", b"4 2500\n")
    run.cut()

    page = html(load_record(run.folder), run.folder)

    assert "while it ran; last output 2.5 s after its start</p>" in page
    assert ">at least 3.5 s<span" in page
