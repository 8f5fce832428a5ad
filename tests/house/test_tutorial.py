"""The tutorial and pages like it, done from the beginning to the end with the wheel alone."""

import os
from pathlib import Path

import pytest

from pytest_orchestrator.cli.drafts import rendered
from tests.house.conftest import ROOT
from tests.house.transcript import play

DOCS = ROOT / "docs"


@pytest.mark.parametrize(
    ("page", "commands"),
    [
        ("tutorial/cdu.md", 12),
        ("how-to/start-in-a-project.md", 1),
        ("how-to/scriptlets.md", 4),
        ("how-to/read-a-run.md", 13),
    ],
)
def test_a_page_shows_what_a_user_sees(
    page: str, commands: int, bare: Path, tmp_path: Path
) -> None:
    env = {"PATH": f"{bare}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}

    assert play(DOCS / page, tmp_path, env) == commands


def test_the_page_on_ci_shows_what_init_writes() -> None:
    page = (DOCS / "how-to" / "ci.md").read_text()

    for name in ("github.yml", "gitlab.yml", "pre-commit.yaml"):
        assert f"```text\n{rendered(f'project/{name}')}```\n" in page
