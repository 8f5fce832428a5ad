"""The types of the package, as the type checker of a user sees them in the installed wheel."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).with_name("typed_project.py")
MYPY = ["mypy", "--strict", "--cache-dir=cache", "--python-executable"]
PYRIGHT = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error"}


@pytest.mark.nightly
@pytest.mark.parametrize("checker", [MYPY, ["pyright", "--pythonpath"]], ids=["mypy", "pyright"])
def test_type_checkers_accept_a_project_and_find_its_marked_mistakes(
    checker: list[str], bare: Path, tmp_path: Path
) -> None:
    shutil.copy(PROJECT, tmp_path)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(PYRIGHT))
    done = subprocess.run(
        [sys.executable, "-m", *checker, bare / "python", PROJECT.name],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
