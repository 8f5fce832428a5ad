"""What a session leaves is listed, proved, bundled and read, as it stands on disk."""

import json
import zipfile
from pathlib import Path

import pytest

from pytest_orchestrator import load_run
from pytest_orchestrator.cli.main import main
from pytest_orchestrator.run.past_context import at_step
from pytest_orchestrator.run.proof import proved
from pytest_orchestrator.run.runs import load
from tests.plugin.conftest import Project

RECIPE = """
vars: {volts: 12, pin: '4711-abcd'}
secrets: [vars.pin]
defaults: {parse: text}
steps:
  - {name: set, use: recipes/_part.yaml, with: {volts: '${{ vars.volts }}'}}
  - name: measure
    type: shell
    cmd: echo 41
    measurements: {ripple: {value: stdout | int, unit: mV, high: '${{ vars.volts * 10 }}'}}
    outputs: {psu.ripple_mv: '${{ stdout | int }}'}
  - {name: off, type: shell, cmd: 'false', needs: [measure]}
"""
PART = """
vars: {volts: 5}
steps:
  - {name: on, type: shell, cmd: 'echo $VOLTS', parse: text, args: {VOLTS: '${{ vars.volts }}'}}
"""


@pytest.fixture
def folder(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run of a session, one of whose steps failed."""
    project.write("recipes/psu.yaml", RECIPE)
    project.write("recipes/_part.yaml", PART)
    project.run("--recipe-var", "volts=24")
    monkeypatch.chdir(project.path)
    (found,) = (project.path / ".orchestrator" / "runs").glob("2*")
    return found


def test_a_run_of_a_session_is_proved_read_and_bundled(
    folder: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert proved(folder).holds
    assert (main(["runs", "show"]), main(["runs"])) == (0, 0)
    assert "1 failed" in capsys.readouterr().out
    run = load_run()
    assert [row["state"] for row in run.steps] == ["passed", "passed", "failed"]
    assert (run.context, run.measurements[0]["value"]) == ({"psu.ripple_mv": 41}, 41)
    assert run.changes[0]["by"] == "recipes/psu.yaml::measure"
    assert at_step(load(folder), "measure").to_dict() == {}

    assert main(["report", "--bundle", "evidence.zip"]) == 0
    assert main(["verify", "evidence.zip"]) == 0
    with zipfile.ZipFile("evidence.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert not any(b"4711-abcd" in data for data in files.values())
    resolved = json.loads(files["resolved/recipes/psu.yaml.json"])
    assert resolved["vars"]["volts"] == {"value": 24, "origin": "--recipe-var"}
    assert [step["name"] for step in resolved["steps"]] == ["set.on", "measure", "off"]
    assert resolved["steps"][1]["parse"] == "text"
    assert resolved["steps"][1]["measurements"]["ripple"]["high"] == "${{ vars.volts * 10 }}"
    assert files["run/sources/recipes/_part.yaml"].decode() == PART.lstrip("\n")


def test_one_changed_byte_in_any_file_of_the_run_is_named(folder: Path) -> None:
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != "journal.lock"]
    assert len(names) > 5
    for path in names:
        data = path.read_bytes()
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        (flaw,) = proved(folder).flaws
        assert flaw.where.partition(":")[0] == path.relative_to(folder).as_posix()
        path.write_bytes(data)
    assert proved(folder).holds
