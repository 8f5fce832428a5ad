"""Arguments of several commands: ports, paths, runs."""

from pathlib import Path

import pytest

from tests.cli.conftest import Project
from tests.cli.history.fleet import fleet
from tests.runs.built import Runs

FOLDERS = (".", "", "..", "/", "recipes", "recipes/..")


@pytest.mark.parametrize("target", FOLDERS)
@pytest.mark.parametrize(
    "words",
    [
        "report -o",
        "report --certificate -o",
        "report --bundle",
        "measurements --format csv -o",
        "stats --html",
        "runs --dut A3 --html",
    ],
)
def test_a_folder_is_no_file_to_write(
    words: str, target: str, project: Project, runs: Runs
) -> None:
    (project.path / "recipes").mkdir()
    fleet(runs)
    before = {*project.path.iterdir()}
    done = project.call(*words.split(), target)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f" error: {Path(target)}: Is a directory\n")
    assert {*project.path.iterdir()} == before


@pytest.mark.parametrize("target", FOLDERS)
def test_a_folder_is_no_ctrf_file(target: str, project: Project, runs: Runs) -> None:
    (project.path / "recipes").mkdir()
    runs.new().begin("flash").step("flash").seal()
    done = project.call("report", "--ctrf", target)
    assert done == (1, "", f"error: CTRF: {target}: Is a directory\n")


def test_a_bundle_replaces_no_folder_with_the_name_of_a_zip_file(
    project: Project, runs: Runs
) -> None:
    runs.new().begin("flash").step("flash").seal()
    (project.path / "run.zip").mkdir()
    done = project.call("report", "--bundle", "run.zip")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(" error: run.zip: Is a directory\n")
