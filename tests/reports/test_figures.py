"""Figures in reports; a figure that was not measured is a dash."""

from pytest_orchestrator.reports.text import added, megabytes, seconds


def test_seconds_have_two_decimals() -> None:
    assert [seconds(1.005), seconds(0), seconds(None)] == ["1.00", "0.00", "-"]


def test_megabytes_are_millions_of_bytes() -> None:
    assert [megabytes(38_149_999), megabytes(0), megabytes(None)] == ["38.1", "0.0", "-"]


def test_missing_figures_do_not_count_in_sums() -> None:
    assert (added(1, None, 2.5), added(None), added()) == (3.5, None, None)
