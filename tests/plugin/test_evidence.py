"""Runs on disk: listed, verified, bundled and read."""

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from pytest_orchestrator import load_run
from pytest_orchestrator.cli.main import main
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.verify import verify_folder
from tests.plugin.conftest import PYTEST, Project

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
    """The run folder of a session with one failed step."""
    project.write("recipes/psu.yaml", RECIPE)
    project.write("recipes/_part.yaml", PART)
    project.run("--recipe-var", "volts=24")
    monkeypatch.chdir(project.path)
    (found,) = (project.path / ".orchestrator" / "runs").glob("2*")
    return found


def test_a_run_of_a_session_is_verified_read_and_bundled(
    folder: Path, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_folder(folder).holds
    assert (main(["runs", "show"]), main(["runs"])) == (0, 0)
    assert "1 failed" in capsys.readouterr().out
    run = load_run()
    assert [row["state"] for row in run.steps] == ["passed", "passed", "failed"]
    assert (run.context, run.measurements[0]["value"]) == ({"psu.ripple_mv": 41}, 41)
    assert run.changes[0]["by"] == "recipes/psu.yaml::measure"

    assert main(["report", "--bundle", "evidence.zip"]) == 0
    assert main(["verify", "evidence.zip"]) == 0
    with zipfile.ZipFile("evidence.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    assert not any(b"4711-abcd" in data for data in files.values())
    assert files["run/sources/recipes/_part.yaml"].decode() == PART.lstrip("\n")


def test_one_changed_byte_in_any_file_of_the_run_is_named(folder: Path) -> None:
    names = [path for path in folder.rglob("*") if path.is_file() and path.name != "journal.lock"]
    assert len(names) > 5
    for path in names:
        data = path.read_bytes()
        path.write_bytes(data[:-2] + bytes([data[-2] ^ 1]) + data[-1:])
        (flaw,) = verify_folder(folder).flaws
        assert flaw.where.partition(":")[0] == path.relative_to(folder).as_posix()
        path.write_bytes(data)
    assert verify_folder(folder).holds


_ODD = r"""
defaults: {parse: text}
steps:
  - name: made
    type: shell
    cmd: |
      printf 1 > "$(printf 'out/a\377b.txt')"
      printf 2 > 'out/a\xffb.txt'
      printf 3 > "$(printf '.orchestrator/runs/latest/mine\377')"
      cp "$(command -v sleep)" "$(printf 'out/left\377')"
      "$(printf 'out/left\377')" 60 &
    artifacts: ["out/*.txt"]
  - {name: bad, type: python, module: steps_of_it, function: bad}
  - {name: inline, type: python, module: steps_of_it, function: bad, isolation: inline, needs: []}
  - {name: there, type: shell, cmd: ':', after: [made], success: {files_absent: ['out/a?b.txt']}}
"""


@pytest.mark.parametrize("folder", ["good", "p\udcffq"])
def test_names_that_are_not_utf8_are_escaped_in_all_outputs(
    project: Project, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project.write(f"{folder}/pytest.ini", "[pytest]\n").parent
    project.write(f"{folder}/recipes/odd.yaml", _ODD)
    project.write(
        f"{folder}/steps_of_it.py",
        """
        def bad(ctx, params):
            raise ValueError(__file__)
        """,
    )
    (root / "out").mkdir()
    options = ("--json-report", "--junitxml=junit.xml", "-o", "recipe_html=true", "-q")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(project.path / "summary.md"))

    monkeypatch.chdir(root)

    with (root / "stderr").open("w") as stderr:
        process = project.pytester.popen([*PYTEST, *options], stderr=stderr)
    out, _ = process.communicate()

    assert (process.returncode, (root / "stderr").read_bytes()) == (1, b"")
    assert b"3 failed, 1 passed" in out
    run = root / ".orchestrator/runs/latest"
    block = next(step.block for step in load_record(run).steps if step.name == "made")
    assert block is not None
    kept = {one.path: (run / one.path).read_text() for one in block.artifacts or ()}
    assert kept == {
        r"artifacts/odd/out/a\xffb.txt": "2",
        r"artifacts/odd/out/a\xffb.2.txt": "1",
    }
    assert verify_folder(run).holds
    tests = json.loads((root / ".report.json").read_text())["tests"]
    blocks = json.dumps([one["metadata"] for one in tests], ensure_ascii=False).encode()
    assert rb"left\\xff" in blocks
    assert rb"out/a?b.txt matches out/a\\xffb.txt" in blocks
    assert (rb"p\\xffq" in blocks) == (folder != "good")
    assert "made" in (run / "report.html").read_text(encoding="utf-8")
    assert ElementTree.parse(root / "junit.xml").getroot().tag == "testsuites"
    assert main(["report", "--bundle", "evidence.zip"]) == 0
    assert main(["verify", "evidence.zip"]) == 0


def test_a_recipe_whose_own_name_is_not_utf8_runs_and_is_resumed(project: Project) -> None:
    project.write("recipes/caf\udce9.yaml", _ODD.replace("printf 3", ":"))
    project.write("steps_of_it.py", "def bad(ctx, params):\n    1 / 0\n")
    (project.path / "out").mkdir()

    project.run("-p", "no:cacheprovider").assert_outcomes(passed=1, failed=3)
    result = project.run("-p", "no:cacheprovider", "--recipe-resume")

    result.assert_outcomes(skipped=1, failed=3)
    assert load_run(project.path / ".orchestrator/runs/latest").steps[0]["recipe"] == (
        r"recipes/caf\xe9.yaml"
    )
