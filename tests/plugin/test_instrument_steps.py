"""Steps of the types `scpi` and `serial` in a session, of copies of both types in a plugin."""

from pathlib import Path

import pytest

from pytest_orchestrator.step_types import scpi, serial
from tests.plugin.conftest import Project

PLUGIN = '''
"""Types of a plugin: `console`, and `meter` with an instrument that answers from a table."""

import base64

from msgspec.structs import replace

from copied_scpi import Scpi
from copied_serial import Serial
from pytest_orchestrator.extending import Instrument, InstrumentError

ANSWERS = {"MEAS?": "0.25", "SYST:ERR?": "0", "DISP?": base64.b64encode(b"\\x89PNG...").decode()}


class Meter(Scpi):
    """Sends commands to a table."""

    name = "meter"

    def run(self, keys, ctx, env):
        return super().run(keys, ctx, replace(env, opener=lambda name: Instrument(name, answer)))


class Console(Serial):
    """Holds a dialog."""

    name = "console"


def answer(request):
    command = request.get("command", "")
    if "99" in command:
        raise InstrumentError(f"psu: the connection was closed by '{command}'", kind="closed")
    return ANSWERS.get(command, "")
'''


@pytest.fixture
def bench(project: Project) -> Project:
    """A project with a plugin that has copies of both types."""
    project.write("copied_scpi.py", Path(scpi.__file__).read_text())
    project.write("copied_serial.py", Path(serial.__file__).read_text())
    project.write("bench_types.py", PLUGIN)
    project.write("station.yaml", "instruments: {psu: {resource: 'ASRL1::INSTR'}}\n")
    project.write(
        "conftest.py",
        "from bench_types import Console, Meter\n\n\n"
        "def pytest_recipe_step_types():\n    return [Console, Meter]\n",
    )
    return project


def test_copies_of_both_types_work_in_a_plugin(
    bench: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIN", "leak-0815")
    meter, console = "type: meter, needs: [], instrument: psu", "type: console, needs: []"
    path = bench.recipe(
        "x",
        {
            "shot": f"{meter}, commands: [{{query: 'DISP?', as: shot, type: block}}], "
            "artifacts: ['${{ result.shot.file }}']",
            "amps": f"{meter}, commands: ['PASS ${{{{ env.PIN }}}}', {{query: 'MEAS?'}}], "
            "measurements: {i: {value: result.value, high: 0.2}}",
            "sweep": f"{meter}, foreach: [1, 99], commands: [OUTP ON, 'VOLT ${{{{ item }}}}'], "
            "isolation: inline",
            "login": f"{console}, port: 'loop://', dialog: [{{send: \"v1.2 leak-0815\\n\"}}, "
            "{expect: 'v(?P<version>[0-9.]+) '}], outputs: {dut.version_v1: "
            "'${{ result.version }}'}, success: {stdout_contains: v1.2}",
            "prompt": f"{console}, port: 'loop://', dialog: [{{send: x}}, "
            "{expect: '# ', within: 1ms}]",
            "late": f"{console}, port: 'loop://', dialog: [{{expect: x}}], timeout: 300ms",
        },
        head="secrets: [env.PIN]",
    )

    blocks = bench.blocks()

    lines = (bench.path / path).read_text().splitlines()
    failed = {}
    for name, block in blocks.items():
        step = block["step"]
        if step["state"] != "passed":
            at = step["place"]
            failed[name] = (step["kind"], step["reason"], lines[at["line"] - 1][at["column"] - 1 :])
    assert failed == {
        "amps": ("criterion", "i = 0.25, max 0.20 (0.05 above, 25 %)", "0.2}}}"),
        "sweep": (
            "status",
            "[1] 99: psu: the connection was closed by 'VOLT 99'",
            "'VOLT ${{ item }}'], isolation: inline}",
        ),
        "prompt": (
            "status",
            "loop://: no match for '# ' within 0.001 s; last received: 'x'",
            "{expect: '# ', within: 1ms}]}",
        ),
        "late": (
            "timeout",
            "timeout: still running after 0.3 s; its whole process tree was ended",
            "300ms}",
        ),
    }
    [shot] = blocks["shot"]["artifacts"]
    assert (Path(shot["path"]).name, shot["type"]) == ("shot.1.shot.png", "image/png")
    [version] = blocks["login"]["context"]["writes"]
    assert version["new"] == "1.2"
    logs = {file.name: file.read_text() for file in bench.path.rglob("*.log")}
    sent = ["> PASS ***", "> MEAS?", "< 0.25", "> SYST:ERR?", "< 0"]
    assert texts(logs["amps.1.log"]) == [f"INFO     psu {text}" for text in sent]
    assert texts(logs["login.1.log"]) == [
        r"INFO     console > v1.2 ***\n",
        "DEBUG    console waits at most 10 s for 'v(?P<version>[0-9.]+) '",
        "INFO     console < v1.2 ***",
    ]
    assert "leak" not in "".join(logs.values())


def texts(log: str) -> list[str]:
    """Return the lines of a log without their times."""
    return [line.partition(" ")[2] for line in log.splitlines()]
