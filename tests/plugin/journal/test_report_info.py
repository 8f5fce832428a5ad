"""Rows and links of plugins: stored with the run, and shown by a later command without pytest."""

from pathlib import Path

import pytest

from pytest_orchestrator.cli.main import main
from pytest_orchestrator.runs.lookup import load_record
from pytest_orchestrator.runs.verify import verify_folder
from tests.plugin.conftest import Project

RECIPE = """
matrix: {gain: [1, 2]}
test_meta: {dut: {serial: "SN${{ matrix.gain }}"}}
vars: {pin: 4711-abcd}
secrets: [vars.pin]
steps:
  - {name: measure, type: shell, cmd: 'true', parse: text}
"""
CONFTEST = """
class Other:
    def pytest_recipe_report_info(self, test_meta):
        return {"rows": {"Order": "by the other plugin", "Box": 7}}


class Wrong:
    def pytest_recipe_report_info(self, cell):
        return {"row": {}} if cell.endswith("1") else None


class Broken:
    def pytest_recipe_report_info(self, recipe):
        raise OSError(recipe)


def pytest_configure(config):
    config.pluginmanager.register(Broken(), "broken")
    config.pluginmanager.register(Other(), "other")
    config.pluginmanager.register(Wrong(), "wrong")


def pytest_recipe_report_info(config, recipe, cell, test_meta):
    serial = test_meta["dut"]["serial"]
    return {
        "rows": {"Order": "by the conftest", "Note": f"{recipe} {cell} {serial} 4711-abcd"},
        "links": {"Ticket": f"https://mes.example/{serial}", "Bad": "javascript:alert(1)"},
    }
"""


@pytest.mark.parametrize("options", [[], pytest.param(["-n1"], marks=pytest.mark.nightly)])
def test_rows_and_links_of_plugins_are_stored_for_a_later_certificate(
    project: Project,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
) -> None:
    project.write("recipes/x.yaml", RECIPE)
    conftest = project.write("conftest.py", CONFTEST)
    result = project.run(*options)
    monkeypatch.chdir(project.path)
    folder = (project.path / ".orchestrator/runs/latest").resolve()

    result.assert_outcomes(passed=2, warnings=3)
    run = load_record(folder)
    for number in (1, 2):
        info = run.recipes[f"recipes/x.yaml[gain:{number}]"].info
        assert info is not None
        note = f"recipes/x.yaml gain:{number} SN{number} ***"
        assert info.rows == {"Order": "by the other plugin", "Note": note, "Box": "7"}
        assert info.links == {"Ticket": f"https://mes.example/SN{number}"}
    hook = "pytest_recipe_report_info returned"
    link = f"plugin '{conftest}': {hook} the link 'javascript:alert(1)'"
    form = f"plugin 'wrong': {hook} {{'row': {{*}}}}; return a mapping of 'rows' and 'links'"
    error = "plugin 'broken': pytest_recipe_report_info raised OSError: recipes/x.yaml"
    result.stdout.fnmatch_lines_random(
        [
            f"*/conftest.py:22: HookWarning: {link}; begin it with one of https:, http:, mailto:",
            f"*/conftest.py:7: HookWarning: {form}",
            f"*/conftest.py:12: HookWarning: {error}",
        ]
    )

    conftest.unlink()
    assert main(["report", "--certificate", "--recipe", "recipes/x.yaml[gain:2]"]) == 0
    page = Path(capsys.readouterr().out.strip().splitlines()[-1]).read_text()
    assert 'href="https://mes.example/SN2"' in page
    assert "PASSED" in page
    assert "SN1" not in page
    assert "4711-abcd" not in page
    assert verify_folder(folder).holds
    assert main(["verify", "latest"]) == 0
