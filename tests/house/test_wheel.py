"""Content of the wheel and of the source distribution."""

import tarfile
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.house.conftest import ROOT, built


@pytest.fixture(scope="module")
def files(wheel: Path) -> set[str]:
    return set(ZipFile(wheel).namelist())


def test_the_wheel_contains_only_the_package(files: set[str]) -> None:
    tops = {name.partition("/")[0].partition("-")[0] for name in files}

    assert tops == {"pytest_orchestrator"}


def test_the_wheel_contains_every_file_of_the_package(files: set[str]) -> None:
    package = {
        str(file.relative_to(ROOT))
        for file in (ROOT / "pytest_orchestrator").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }

    assert package - files == set()


@pytest.mark.nightly
def test_the_source_distribution_makes_the_same_wheel(files: set[str], tmp_path: Path) -> None:
    with tarfile.open(built(ROOT, "sdist", tmp_path / "sdist")) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = built(source, "wheel", tmp_path / "wheel")

    assert set(ZipFile(again).namelist()) == files
    for name in ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md", ".pre-commit-hooks.yaml"):
        assert (source / name).is_file()
