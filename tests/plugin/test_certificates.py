"""Certificates of real sessions: the cause of a skip counts, not its words."""

import html
import re
from pathlib import Path

import pytest

from pytest_orchestrator.cli.main import main
from tests.plugin.conftest import Project

RECIPE = """
vars: {hot: false}
defaults: {parse: text}
steps:
  - {name: good, type: shell, cmd: 'true'}
  - {name: off, type: shell, cmd: 'true', if: vars.hot}
  - {name: last, type: shell, cmd: 'test -e ready'}
"""
SKIPS = """
defaults: {parse: text}
steps:
  - {name: good, type: shell, cmd: 'true'}
  - {name: marked, type: shell, cmd: 'true'}
  - {name: fixed, type: shell, cmd: 'true', fixtures: [absent], needs: []}
  - {name: own, type: shell, cmd: 'exit 3', skip_exit_code: 3, needs: []}
"""
CONFTEST = """
import pytest

def pytest_collection_modifyitems(items):
    for item in items:
        if item.name == "marked":
            item.add_marker(pytest.mark.skip(reason="if: vars.hot"))

@pytest.fixture
def absent():
    pytest.skip("if: vars.hot")
"""


def certificate(recipe: str, capsys: pytest.CaptureFixture[str]) -> tuple[str, list[str]]:
    """Return the verdict and the findings on the certificate of a recipe in the last run."""
    capsys.readouterr()
    assert main(["report", "--certificate", "--recipe", recipe]) == 0
    page = Path(capsys.readouterr().out.strip()).read_text()
    found = re.findall(r'<li class="(?:failure|gap|remark)">(.*?)</li>', page)
    plain = [html.unescape(re.sub("<[^>]+>", "", one)) for one in found]
    return re.findall(r"</span> ([A-Z ]+)</p>", page)[0], plain


def test_a_certificate_of_a_session_knows_why_a_step_has_not_passed(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project.write("recipes/x.yaml", RECIPE)
    project.write("recipes/skips.yaml", SKIPS)
    project.write("conftest.py", CONFTEST)
    monkeypatch.chdir(project.path)
    off = "• off: skipped by its if: vars.hot"

    project.run()
    failed = certificate("recipes/x.yaml", capsys)
    skips = certificate("recipes/skips.yaml", capsys)
    first = (project.path / ".orchestrator/runs/latest").resolve().name
    project.write("ready", "")
    project.run("--recipe-resume", "recipes/x.yaml")
    resumed = certificate("recipes/x.yaml", capsys)
    project.run("-k", "not last", "recipes/x.yaml")
    selected = certificate("recipes/x.yaml", capsys)
    project.run("recipes/x.yaml")
    whole = certificate("recipes/x.yaml", capsys)

    assert failed == ("FAILED", ["✘ last: exit code 1, expected 0", off])
    assert skips == (
        "NOT COMPLETE",
        ["□ marked, fixed: skipped: if: vars.hot", "□ own: skipped: exit code 3"],
    )
    restored = f"restored from run {first}, did not run in this one"
    assert resumed == ("NOT COMPLETE", [f"□ good, off: {restored}"])
    assert selected == ("NOT COMPLETE", ["□ last: not selected", off])
    assert whole == ("PASSED", [off])
