"""A project with a station: a power supply and an electronic load on TCP ports of this machine."""

from collections.abc import Iterator

import pytest

from tests.instruments import ScpiInstrument
from tests.plugin.conftest import Project

STEPS = """
import os
import time


def volts(ctx, params, instrument):
    psu = instrument("psu")
    psu.write(f"VOLT {params['volts']}")
    psu.write("OUTP ON")
    return {"status": "ok", "amps": float(psu.query("MEAS:CURR?"))}


def hang(ctx, params, instrument):
    instrument("psu").write("OUTP ON")
    time.sleep(600)


def crash(ctx, params, instrument):
    instrument("load").write("OUTP ON")
    os._exit(3)
"""

VOLTS = "type: python, module: bench, function: volts, params: {{volts: {}}}"
HANG = "type: python, module: bench, function: hang"
CRASH = "type: python, module: bench, function: crash"

LAST = ["OUTP OFF", "*OPC?", "SYST:ERR?"]
"""Commands of a safe state that is reached."""


class Bench:
    """A project with two simulated instruments."""

    def __init__(self, project: Project, psu: ScpiInstrument, load: ScpiInstrument) -> None:
        self.project, self.psu, self.load = project, psu, load
        project.write("bench.py", STEPS)
        self.station()

    def station(self, more: str = "", safe: str = "[OUTP OFF]", timeout: str = "1s") -> None:
        """Write the station file, with further keys of the power supply."""
        text = f"name: bench-3\ninstruments:\n  psu:\n    resource: {self.psu.resource}\n"
        text += f"    idn: PSU-30\n    timeout: {timeout}\n    safe: {safe}\n{more}"
        text += f"  load:\n    resource: {self.load.resource}\n    safe: [OUTP OFF]\n"
        self.project.write("station.yaml", text)


@pytest.fixture
def bench(project: Project) -> Iterator[Bench]:
    with ScpiInstrument() as psu, ScpiInstrument() as load:
        yield Bench(project, psu, load)
