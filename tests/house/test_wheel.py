"""What a user installs."""

import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return set(ZipFile(wheel).namelist())


def test_the_wheel_holds_the_package_alone(files: set[str]) -> None:
    tops = {name.partition("/")[0].partition("-")[0] for name in files}

    assert tops == {"pytest_orchestrator"}


def test_the_wheel_holds_every_file_of_the_package(files: set[str]) -> None:
    there = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "pytest_orchestrator").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }

    assert there - files == set()
