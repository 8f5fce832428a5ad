"""Arguments of several commands: ports, paths, runs."""

from pathlib import Path

import pytest

from tests.cli.conftest import Project
from tests.cli.history.fleet import fleet
from tests.runs.built import Runs

LONG = "x" * 300
FOLDERS = (".", "", "..", "/", "recipes", "recipes/..")


@pytest.mark.parametrize("verb", ["monitor", "serve"])
@pytest.mark.parametrize(
    ("port", "message"),
    [
        ("99999", "a port is at most 65535, not 99999"),
        ("-5", "a port is at least 0, not -5"),
        ("http", "'http' is no port; write a number from 0 to 65535"),
    ],
)
def test_a_port_is_a_number_from_0_to_65535(
    verb: str, port: str, message: str, project: Project
) -> None:
    done = project.call(verb, "--port", port)
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(f"{verb}: error: argument --port: {message}\n")


@pytest.mark.parametrize("target", FOLDERS)
@pytest.mark.parametrize(
    "words",
    [
        "report -o",
        "report --certificate -o",
        "report --bundle",
        "measurements --format csv -o",
        "stats --html",
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


@pytest.mark.parametrize("target", [one for one in FOLDERS if one])
def test_a_folder_is_no_ctrf_file(target: str, project: Project, runs: Runs) -> None:
    (project.path / "recipes").mkdir()
    runs.new().begin("flash").step("flash").seal()
    done = project.call("export", f"ctrf:{target}")
    assert done == (1, "", f"error: CTRF: {target}: Is a directory\n")


def test_a_bundle_replaces_no_folder_with_the_name_of_a_zip_file(
    project: Project, runs: Runs
) -> None:
    runs.new().begin("flash").step("flash").seal()
    (project.path / "run.zip").mkdir()
    done = project.call("report", "--bundle", "run.zip")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(" error: run.zip: Is a directory\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("validate NAME", "argument PATH: there is no NAME"),
        ("validate NAME/a", "argument PATH: NAME is no folder"),
        ("run --recipe NAME", "argument --recipe: there is no NAME"),
        ("monitor NAME", "argument RUN_DIR: there is no NAME"),
        ("graph NAME", "there is no NAME"),
        ("graph a.yaml --run NAME", "no run 'NAME'; there is none in BASE"),
        ("report NAME", "no run 'NAME'; there is none in BASE"),
        ("report --bundle NAME", "a bundle is a zip file; name it NAME.zip, not NAME"),
        ("validate --recipe-answers NAME", "--recipe-answers: there is no file NAME"),
        ("verify NAME", "no run 'NAME'; there is none in BASE"),
        ("verify NAME.zip", "no run 'NAME.zip'; there is none in BASE"),
        (
            "instruments --recipe-station NAME",
            "--recipe-station: there is no file 'NAME'",
        ),
        ("init NAME", "NAME: File name too long"),
        (
            "new step NAME",
            "scriptlets/python/steps/NAME.py cannot be written: File name too long",
        ),
        ("new recipe NAME", "recipes/NAME.yaml cannot be written: File name too long"),
    ],
)
def test_a_name_that_is_too_long_for_a_file_is_an_error(
    words: str, message: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")  # only then are answers read
    project.write("recipes/a.yaml", "steps: [{name: a, type: shell, cmd: a}]\n")
    done = project.call(*words.replace("NAME", LONG).split())
    base = str(project.path / ".orchestrator" / "runs")
    assert (done.code, done.out) == (2, "")
    expected = message.replace("NAME", LONG).replace("BASE", base)
    assert done.err.endswith(f" error: {expected}\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("validate", "argument PATH: the path is empty; name a file or a folder"),
        ("run --recipe", "argument --recipe: the path is empty; name a file or a folder"),
        ("monitor", "argument RUN_DIR: the path is empty; name a file or a folder"),
        ("graph", "the path is empty; name a file or a folder"),
        ("export", "there is no format ''; write ctrf:FILE, allure:FOLDER or otel:ENDPOINT"),
        ("graph a.yaml --run", "no run ''; there is none in BASE"),
        ("ctx --run", "no run ''; there is none in BASE"),
        ("ctx full --run", "no run ''; there is none in BASE"),
    ],
)
def test_an_empty_text_names_no_path_and_no_run(words: str, message: str, project: Project) -> None:
    done = project.call(*words.split(), "")
    assert (done.code, done.out) == (2, "")
    base = str(project.path / ".orchestrator" / "runs")
    assert done.err.endswith(f" error: {message.replace('BASE', base)}\n")


def test_a_home_of_an_unknown_user_is_no_station_file(project: Project) -> None:
    done = project.call("instruments", "--recipe-station", "~nobody_here/a.yaml")
    assert (done.code, done.out) == (2, "")
    assert done.err.endswith(" error: --recipe-station: there is no file '~nobody_here/a.yaml'\n")


def test_a_file_of_a_served_context_is_no_folder(project: Project) -> None:
    for option in ("--file", "--token-file"):
        done = project.call("serve", option, ".")
        assert (done.code, done.out) == (2, "")
        assert done.err.endswith(f" error: {option}: .: Is a directory\n")
