"""Instruments while a run holds before a step: they stay on, answer, and are owed after a kill."""

import signal
from collections.abc import Callable

from tests.plugin.instruments.conftest import LAST, VOLTS, Bench
from tests.plugin.terminal_session import Screen


def test_a_held_instrument_stays_on_answers_and_is_owed_after_a_kill(
    bench: Bench, screen: Callable[..., Screen]
) -> None:
    project = bench.project
    project.recipe("x", {"on": VOLTS.format(3), "look": ""})
    shown = screen("--recipe-break=look")
    shown.reads("look> ")
    shown.types("query psu MEAS:CURR?\n")
    shown.reads("  +3.0000E-01")
    shown.reads("look> ")
    shown.types("query psu OUTP OFF\n")
    shown.reads("a command without a question would change it")
    shown.reads("look> ")
    shown.types("query pus MEAS:CURR?\n")
    shown.reads("pus")
    shown.reads("look> ")
    assert bench.psu.texts == ["*IDN?", "VOLT 3", "OUTP ON", "MEAS:CURR?", "MEAS:CURR?"]
    shown.process.send_signal(signal.SIGKILL)
    assert shown.status() == -signal.SIGKILL

    before = len(bench.psu.texts)
    resumed = screen("--recipe-resume")
    assert resumed.status() == 0, resumed.seen
    assert project.ran == ["look"]
    assert bench.psu.texts[before:] == ["*IDN?", *LAST]
