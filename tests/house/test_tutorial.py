"""The tutorial, done from the beginning to the end in an environment with the wheel alone."""

import os
from pathlib import Path

from tests.house.conftest import ROOT
from tests.house.transcript import play

PAGE = ROOT / "docs" / "tutorial" / "cdu.md"


def test_the_tutorial_shows_what_a_new_user_sees(bare: Path, tmp_path: Path) -> None:
    env = {"PATH": f"{bare}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": ""}

    assert play(PAGE, tmp_path, env) == 12
