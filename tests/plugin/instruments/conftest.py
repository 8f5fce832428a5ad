"""A project with a station: a power supply and an electronic load on TCP ports of this machine."""

import subprocess
from collections.abc import Iterator

import pytest

from benchmarks.faults import PATIENCE
from tests.instruments import ScpiInstrument
from tests.plugin.conftest import PYTEST, Project

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
        self.run = ""
        project.write("bench.py", STEPS)
        self.station()

    def station(self, more: str = "", safe: str = "[OUTP OFF]", timeout: str = "1s") -> None:
        """Write the station file, with further keys of the power supply."""
        text = f"name: bench-3\ninstruments:\n  psu:\n    resource: {self.psu.resource}\n"
        text += f"    idn: PSU-30\n    timeout: {timeout}\n    safe: {safe}\n{more}"
        text += f"  load:\n    resource: {self.load.resource}\n    safe: [OUTP OFF]\n"
        self.project.write("station.yaml", text)

    def start(self, *args: str) -> subprocess.Popen[bytes]:
        """Start pytest in a process of its own, and wait until the power supply is on."""
        before = self.psu.texts.count("OUTP ON")
        with (self.project.path / "out.txt").open("wb") as out:
            process = subprocess.Popen(
                [*PYTEST, *args],
                cwd=self.project.path,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self.psu.wait_for("OUTP ON", before + 1)
        return process

    def kill(self, *args: str) -> str:
        """Kill pytest while the power supply is on; return the id of the run."""
        before = {one.name for one in self.project.path.glob(".orchestrator/runs/*T*")}
        process = self.start(*args)
        process.kill()
        process.wait(PATIENCE)
        self.psu.wait_until_closed()
        after = {one.name for one in self.project.path.glob(".orchestrator/runs/*T*")}
        [run] = after - before
        return run


@pytest.fixture
def bench(project: Project) -> Iterator[Bench]:
    with ScpiInstrument() as psu, ScpiInstrument() as load:
        yield Bench(project, psu, load)
