"""Runs of several units under test, for the tests of commands that read the history."""

from typing import Any

from tests.runs.built import Built, Runs

UNITS = (("A1", 41.3), ("A2", 42.7), ("A3", 61.4), ("A4", 42.1), ("A3", 40.9))
REASON = "ripple = 61.4 mV, max 50.0 mV (11.4 mV above)"


def run_of(runs: Runs, serial: Any, ripple: float, recipe: str = "recipes/psu.yaml") -> Built:
    """Write a run of a unit that passes below 50 mV, without its end."""
    meta = {"dut": {"serial_number": serial, "part_number": "PSU-30"}, "station": "bench_3"}
    built = runs.new(recipe, test_meta=meta).begin("burn_in")
    limits = {"high": 50, "verdict": "pass" if ripple < 50 else "fail"}
    failed = {"kind": "criterion", "reason": REASON}
    outcome, more = ("passed", {}) if ripple < 50 else ("failed", failed)
    return built.step("burn_in", outcome, measured={"ripple": ripple}, limits=limits, **more)


def fleet(runs: Runs) -> list[str]:
    """Write runs of four units, of which one failed at first, and an interrupted one.

    Returns:
        The ids of the runs, the oldest first.
    """
    folders = [
        run_of(runs, serial, ripple).seal(0 if ripple < 50 else 1) for serial, ripple in UNITS
    ]
    cut = runs.new(test_meta={"dut": "A5"}).begin("burn_in")
    cut.start("burn_in")
    return [folder.name for folder in (*folders, cut.cut())]
