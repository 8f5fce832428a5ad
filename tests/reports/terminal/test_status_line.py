"""Status line of the running step."""

import pytest

from pytest_orchestrator.core.text import display_width
from pytest_orchestrator.reports.terminal.status_line import (
    RunningStep,
    clock,
    heartbeat,
    last_line,
    status,
)


def _status(
    *steps: RunningStep,
    memory: int | None = 41_300_000,
    printed: str = "",
    width: int = 80,
) -> str:
    return status("2/5", steps, memory, printed, width)


def test_a_status_line_shows_position_name_time_memory_and_output() -> None:
    ripple = RunningStep("measure_ripple", 3.9)
    assert _status(ripple, printed="settling, 3 of 10") == (
        '[2/5] measure_ripple 00:03  41 MB  "settling, 3 of 10"'
    )
    assert _status(RunningStep("flash", 0.6), memory=None) == "[2/5] flash 00:00"


@pytest.mark.parametrize(
    ("step", "label"),
    [
        (RunningStep("ramp", 0, element=7, elements=1500), "ramp [7/1,500]"),
        (RunningStep("flash", 0, attempt=2, attempts=4), "flash (attempt 2 of 4)"),
        (RunningStep("flash", 0, attempt=2), "flash (attempt 2)"),
        (
            RunningStep("flash", 0, attempt=3, attempts=4, pause=19.2),
            "flash (attempt 3 of 4 in 00:20)",
        ),
        (
            RunningStep("ramp", 0, element=1, elements=2, attempt=2, attempts=3),
            "ramp [1/2] (attempt 2 of 3)",
        ),
    ],
)
def test_a_label_has_the_element_and_the_attempt(step: RunningStep, label: str) -> None:
    assert step.label() == label


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
    shown = _status(RunningStep("flash", 3), printed="settling, 3 of 10 漢字漢字", width=width)
    assert shown == line
    assert display_width(shown) <= width


@pytest.mark.parametrize(
    ("width", "line"),
    [
        (20, "[2/5] ramp [7/12] 0…"),
        (40, "[2/5] ramp [7/12] 01:00 and 2 more"),
        (46, "[2/5] ramp [7/12] 01:00, 漢字 00:20 and 1 more"),
        (48, "[2/5] ramp [7/12] 01:00, 漢字 00:20, flash 00:01"),
        (55, "[2/5] ramp [7/12] 01:00, 漢字 00:20, flash 00:01  41 MB"),
    ],
)
def test_steps_that_do_not_fit_are_counted(width: int, line: str) -> None:
    ramp = RunningStep("ramp", 60, element=7, elements=12)
    steps = (ramp, RunningStep("漢字", 20), RunningStep("flash", 1))

    shown = _status(*steps, width=width)

    assert display_width(shown) <= width
    assert shown == line


def test_a_long_name_is_cut_to_two_fifths_of_the_width() -> None:
    shown = _status(RunningStep("n" * 100, 3, element=2, elements=9), printed="x" * 99, width=70)

    assert shown == f'[2/5] {"n" * 27}… [2/9] 00:03  41 MB  "{"x" * 12}…"'


def test_a_line_without_a_terminal_names_steps_times_and_progress() -> None:
    burn, *others = (RunningStep(name, 30.2) for name in ("burn_in", "b", "c", "d", "e"))
    ramp = RunningStep("ramp", 125, element=7, elements=500)

    assert heartbeat([burn], 3, 5) == "orchestrator: burn_in runs for 00:30 (3 of 5 done)"
    assert heartbeat([ramp, burn], 3, 5000) == (
        "orchestrator: ramp [7/500] runs for 02:05, burn_in for 00:30 (3 of 5,000 done)"
    )
    assert heartbeat([burn, *others], 0, 5) == (
        "orchestrator: burn_in runs for 00:30, b for 00:30, c for 00:30 and 2 more (0 of 5 done)"
    )


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
