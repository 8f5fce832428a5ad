"""The tutorial and similar pages, executed from start to end with only the wheel installed."""

import os
import re
from importlib.metadata import distribution
from pathlib import Path

import pytest

from pytest_orchestrator.cli.verbs.new import render_template
from tests.house.conftest import ROOT, link, required
from tests.house.transcript import play

DOCS = ROOT / "docs"


def alone(bare: Path) -> dict[str, str]:
    """Return environment variables with which only the wheel is installed."""
    return {"PATH": f"{bare}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": "", "BROWSER": "true"}


@pytest.mark.parametrize(
    ("page", "commands"),
    [
        ("how-to/start-in-a-project.md", 1),
        ("how-to/scriptlets.md", 5),
        ("how-to/read-a-run.md", 13),
        ("how-to/templates.md", 1),
        ("reference/reading.md", 2),
    ],
)
def test_a_page_shows_what_a_user_sees(
    page: str, commands: int, bare: Path, tmp_path: Path
) -> None:
    assert play(DOCS / page, tmp_path, alone(bare)) == commands


@pytest.mark.nightly
def test_the_tutorial_leads_from_an_empty_folder_to_a_report_and_a_monitor(
    bare: Path, tmp_path: Path
) -> None:
    page = DOCS / "tutorial" / "cdu.md"
    monitor = "pytest-orchestrator monitor --open"
    extra = tmp_path / "extra"
    extra.mkdir()
    link((distribution("flask"), *required("flask")), extra)
    slow = "pytest recipes/cdu.yaml --recipe-var pause=3"
    instead = {
        monitor: f"env PYTHONPATH={extra} {monitor}",  # the extra is installed
        slow: slow.replace("=3", "=0.01"),
    }

    assert play(page, tmp_path, alone(bare), instead) == 14

    section = page.read_text().partition("## Open the HTML report")[2].partition("\n## ")[0]
    runs = (tmp_path / ".orchestrator" / "runs").glob("*/report.html")
    (failed,) = {path.resolve() for path in runs if "First failure" in path.read_text()}
    headings = re.findall(r"\*\*(.+?)\*\*", section)
    assert len(headings) == 4
    assert [one for one in headings if not re.search(rf"<h2.*?{one}", failed.read_text())] == []


def test_the_page_on_ci_shows_what_init_writes() -> None:
    page = (DOCS / "how-to" / "ci.md").read_text()

    for name in ("github.yml", "gitlab.yml", "pre-commit.yaml"):
        install = "python -m pip install 'pytest-orchestrator[validate]'"
        text = render_template(f"project/{name}", strict=False, install=install, python="3.13")
        assert f"```text\n{text}```\n" in page
