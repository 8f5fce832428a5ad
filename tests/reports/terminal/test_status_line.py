"""Status line of the running step."""

import pytest

from pytest_orchestrator.core.text import display_width
from pytest_orchestrator.reports.terminal.status_line import clock, heartbeat, last_line, status


def test_a_status_line_shows_position_name_time_memory_and_output() -> None:
    assert status("2/5", "measure_ripple", 3.9, 41_300_000, "settling, 3 of 10", 80) == (
        '[2/5] measure_ripple 00:03  41 MB  "settling, 3 of 10"'
    )
    assert status("2/5", "flash", 0.6, None, "", 80) == "[2/5] flash 00:00"


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (10, "[2/5] fla…"),
        (30, "[2/5] flash 00:03  41 MB"),
        (40, '[2/5] flash 00:03  41 MB  "settling, 3…"'),
        (300, '[2/5] flash 00:03  41 MB  "settling, 3 of 10 漢字漢字"'),
    ],
)
def test_a_status_line_fits_into_the_terminal(width: int, line: str) -> None:
    shown = status("2/5", "flash", 3, 41_300_000, "settling, 3 of 10 漢字漢字", width)
    assert shown == line
    assert display_width(shown) <= width


def test_a_heartbeat_line_names_step_time_and_progress() -> None:
    assert heartbeat("burn_in", 30.2, 3, 5) == "orchestrator: burn_in runs for 00:30 (3 of 5 done)"


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.9, "00:00"), (61, "01:01"), (3599.9, "59:59"), (3723, "1:02:03")]
)
def test_a_clock_shows_minutes_seconds_and_hours(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown


@pytest.mark.parametrize(
    ("printed", "line"),
    [
        (b"", ""),
        (b"\n \n", ""),
        (b"one\ntwo \n\n", "two"),
        (b"10 %\r20 %\r", "20 %"),
        (b"a\tb\x1b[2J\x07", r"a b\x1b[2J\x07"),
        ("grün\u202e\x9b".encode(), r"grün\u202e\x9b"),
        (b"\xff half", r"\xff half"),
    ],
)
def test_the_last_non_blank_line_is_shown_escaped(printed: bytes, line: str) -> None:
    assert last_line(printed) == line
