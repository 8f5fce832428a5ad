"""Fixture `instrument` of hand-written tests."""

import re
import subprocess

import pytest

from benchmarks.faults import PATIENCE
from tests.plugin.conftest import PYTEST, Project
from tests.plugin.instruments.conftest import LAST, VOLTS, Bench

_TEST = """
import pytest


def test_one(instrument):
    assert instrument("psu").query("OUTP?") == "0"
    instrument("psu").write("OUTP ON")


def test_two(instrument):
    assert instrument("psu").query("OUTP?") == "1"
"""
_MARKED = """
import pytest


@pytest.mark.recipe("recipes/a.yaml")
def test_it_is_on(instrument, ctx):
    assert instrument("psu").query("OUTP?") == "1"
"""


def test_the_use_by_tests_ends_with_the_last_test_of_the_module(bench: Bench) -> None:
    bench.project.write("test_a.py", _TEST)
    bench.project.write("test_b.py", "def test_last():\n    pass\n")

    result = bench.project.run()

    result.assert_outcomes(passed=3)
    assert bench.psu.texts == ["*IDN?", "OUTP?", "OUTP ON", "OUTP?", *LAST]


def test_tests_without_recipes_owe_the_safe_state_after_a_kill(bench: Bench) -> None:
    hang = "import time\n\ndef test_on(instrument):\n    instrument('psu').write('OUTP ON')\n"
    bench.project.write("test_a.py", f"{hang}    time.sleep(600)\n")
    process = subprocess.Popen(
        PYTEST, cwd=bench.project.path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    bench.psu.wait_for("OUTP ON")
    process.kill()
    process.wait(PATIENCE)
    bench.project.write(
        "test_a.py", "def test_it_is_off(instrument):\n    instrument('load').open()\n"
    )

    result = bench.project.run()

    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*orchestrator: the safe state of psu that run * owed was reached"]
    )
    assert bench.psu.texts == ["*IDN?", "OUTP ON", "*IDN?", *LAST]


def test_a_marked_test_uses_the_instruments_of_its_recipe(bench: Bench) -> None:
    bench.project.recipe("a", {"on": VOLTS.format(5)})
    bench.project.write("test_a.py", _MARKED)

    result = bench.project.run("test_a.py")

    result.assert_outcomes(passed=1)
    assert bench.psu.texts[-4:] == ["OUTP?", *LAST]
    assert bench.psu.texts.count("*IDN?") == 1


def test_a_test_does_not_wait_for_a_lock_of_its_own_session(bench: Bench) -> None:
    bench.station("    lock: psu\n")
    bench.project.recipe("a", {"one": ""}, head="locks: [psu]")
    mark = '@pytest.mark.recipe("recipes/a.yaml")\ndef test_{}():\n    pass\n\n\n'
    hand = "def test_hand(instrument):\n    instrument('psu').open()\n\n\n"
    text = f"import pytest\n\n\n{mark.format('first')}{hand}{mark.format('last')}"
    bench.project.write("test_a.py", text)

    result = bench.project.run("test_a.py")

    result.assert_outcomes(passed=2, failed=1)
    held = "psu: lock 'psu' is held by recipes/a.yaml, whose run in this session is not over; let *"
    result.stdout.fnmatch_lines([f"E *InstrumentError: {held}"])


def test_the_error_without_a_station_file_names_its_place(project: Project) -> None:
    project.write("test_a.py", "def test_a(instrument):\n    pass\n")

    result = project.run()

    result.assert_outcomes(errors=1)
    error = "fixture 'instrument' needs a station file: station.yaml at the rootdir, or "
    result.stdout.fnmatch_lines([f"{error}--recipe-station"])


_UNKNOWN = """
def test_asked(instrument):
    instrument("pzu")


def test_sent(instrument):
    instrument("psu").query("VOLT? °")
"""


@pytest.mark.counted
@pytest.mark.parametrize("style", ["auto", "long", "short"])
def test_an_unknown_instrument_is_an_error_when_a_test_asks_for_it(
    bench: Bench, style: str
) -> None:
    bench.project.write("test_a.py", _UNKNOWN)

    result = bench.project.run(f"--tb={style}")

    result.assert_outcomes(failed=2)
    shown = result.stdout.str()
    error = "pytest_orchestrator.instrument.InstrumentError: station.yaml has no instrument 'pzu'"
    result.stdout.fnmatch_lines([f"E *{error} (did you mean 'psu'[?])"])
    frames = re.findall(r"^(\S+\.py):\d+", shown, re.MULTILINE)
    assert set(frames) == {"test_a.py"}


@pytest.mark.parametrize("isolation", ["process", "inline"])
def test_an_unknown_instrument_is_an_error_when_a_step_asks_for_it(
    bench: Bench, isolation: str
) -> None:
    code = "def ask(instrument):\n    instrument('pzu')\n    return {'status': 'ok'}\n"
    bench.project.write("asks.py", code)
    keys = f"type: python, module: asks, function: ask, isolation: {isolation}"
    bench.project.recipe("a", {"ask": keys})

    assert bench.project.reasons()["ask"] == (
        "pytest_orchestrator.instrument.InstrumentError: station.yaml has no instrument 'pzu' "
        "(did you mean 'psu'?)"
    )
    assert bench.psu.texts == []
