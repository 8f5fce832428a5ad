"""Station file of a session: the settings that name it, its vars and resources, its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.options.station import StationFile, find_station

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plugin.conftest import Project

_OPTION, _VARIABLE = "--recipe-station", "environment variable ORCHESTRATOR_STATION"
_INI = "ini key recipe_station"


@pytest.mark.parametrize(
    ("option", "variable", "ini", "found"),
    [
        (None, "", "", ("station.yaml", "", "")),
        ("a.yaml", "none", "none", ("here/a.yaml", _OPTION, "")),
        (None, "a.yaml", "b.yaml", ("here/a.yaml", _VARIABLE, "")),
        (None, "", "here/a.yaml", ("here/a.yaml", _INI, "")),
        ("none", "a.yaml", "b.yaml", None),
        (None, "none", "here/a.yaml", None),
        (None, "", "none", None),
        (
            "b.yaml",
            "",
            "",
            (
                "here/b.yaml",
                _OPTION,
                f"{_OPTION}: there is no file 'b.yaml' (did you mean 'a.yaml'?)",
            ),
        ),
        (
            None,
            "../no/x.yaml",
            "",
            ("no/x.yaml", _VARIABLE, f"{_VARIABLE}: there is no file '../no/x.yaml'"),
        ),
        (None, "", "here", ("here", _INI, f"{_INI}: 'here' is a folder, should be a station file")),
    ],
)
def test_option_variable_ini_key_and_default_name_the_station_file_in_this_order(
    tmp_path: Path, option: str | None, variable: str, ini: str, found: tuple[str, str, str] | None
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for file in (tmp_path / "station.yaml", here / "a.yaml"):
        file.touch()
    expected = None if found is None else StationFile(tmp_path / found[0], *found[1:])

    environ = {"ORCHESTRATOR_STATION": variable}
    assert find_station(option, ini, environ, here, tmp_path) == expected


def test_a_project_without_a_file_of_the_default_name_has_no_station(tmp_path: Path) -> None:
    assert find_station(None, "", {}, tmp_path, tmp_path) is None
    (tmp_path / "station.yaml").touch()
    others = ["lab/../station.yaml"]
    assert find_station(None, "", {}, tmp_path, tmp_path, others) is None


_RECIPE = """\
vars: {gain: 1, loss: 0, label: plain}
inputs: {serial: {}}
steps:
  - {name: show, type: shell, parse: text, resources: {scope: 2, probe: 1},
      cmd: "echo ${{ vars.gain }} ${{ vars.loss }} ${{ vars.label }} ${{ vars.serial }}"}
"""


def test_the_station_gives_vars_and_resources_that_options_override(project: Project) -> None:
    project.ini("recipe_files = *.yaml recipes/*.yaml", "recipe_resources = probe=1")
    project.write("recipes/a.yaml", _RECIPE)
    project.write(
        "station.yaml",
        "vars: {gain: 2, loss: 3, serial: SN1, nobody_declares_it: 4}\n"
        "resources: {scope: 2, probe: 0}\n",
    )
    project.write("given.json", '{"loss": 5}')

    block = project.blocks("--recipe-vars-file=given.json", "--recipe-var=label=x")["show"]

    log = project.path / ".orchestrator/runs/latest/logs/a/show.1.stdout"
    assert log.read_text() == "2 5 x SN1\n"
    origins = {name: one["origin"] for name, one in block["recipe"]["vars"].items()}
    assert origins == {
        "serial": "station",
        "gain": "station",
        "loss": "given.json",
        "label": "--recipe-var",
    }
    reasons = project.reasons("--recipe-resource=scope=1")
    assert reasons == {
        "recipes/a.yaml": "4:55 step 'show' needs 2 of 'scope', and the configured number is 1 "
        "(--recipe-resource scope=2)"
    }


def test_the_first_recipe_shows_the_errors_of_the_station_and_the_others_name_it(
    project: Project,
) -> None:
    for name in "ab":
        project.recipe(name, {name: "type: shell, cmd: 'true', parse: text"})
    project.write(
        "station.yaml", "name: bench\ninstruments:\n  psu: {resource: A, safe: OUTP OFF}\n"
    )
    project.write("test_other.py", "def test_other(): pass")
    result = project.run("test_other.py", "recipes")

    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert (
        project.shown(result, "ERROR collecting recipes/a.yaml")
        == """\
station.yaml:3:28: 'instruments.psu.safe' is text, should be a list (write [OUTP OFF])

   1 | name: bench
   2 | instruments:
   3 |   psu: {resource: A, safe: OUTP OFF}
     |                            ^^^^^^^^
"""
    )
    assert project.shown(result, "ERROR collecting recipes/b.yaml") == (
        "recipes/b.yaml:1:1: the station file station.yaml has errors, reported at recipes/a.yaml\n"
    )
    assert project.run("test_other.py").ret == pytest.ExitCode.OK  # it needs no station
    project.run("--recipe-station=none").assert_outcomes(passed=3)


def test_a_station_file_that_a_setting_names_has_to_be_correct(project: Project) -> None:
    project.recipe("a", {"a": "type: shell, cmd: 'true', parse: text"})
    project.write("bench.yaml", "- psu\n")
    result = project.run("--recipe-station=bench.yaml")

    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0] == (
        "ERROR: --recipe-station: bench.yaml:1:1: the file is a list, should be a mapping (a "
        "station file has keys such as 'instruments')"
    )
    project.ini("recipe_station = bench.yml")
    result = project.run()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert result.errlines[0] == (
        "ERROR: ini key recipe_station: there is no file 'bench.yml' (did you mean 'bench.yaml'?)"
    )


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_id_of_a_run_contains_the_name_of_its_station(
    project: Project, workers: tuple[str, ...]
) -> None:
    project.recipe("a", {"a": "type: shell, cmd: 'true', parse: text"})
    runs = project.path / ".orchestrator/runs"
    found = []
    for file in ("vars: {a: 1}\n", "name: Prüfstand 3, hall B-17\n"):
        project.write("station.yaml", file)
        for option in ((), ("--recipe-station=none",)):
            project.run(*option, *workers)
            found.append((runs / "latest").readlink().name)
    stations = [run_id.partition("-")[2].rpartition("-")[0] for run_id in found]

    assert stations == ["", "", "Prufstand-3-hall", ""]


def test_workers_report_the_errors_of_the_station_at_the_recipe(project: Project) -> None:
    project.recipe("a", {"a": "type: shell, cmd: 'true', parse: text"})
    project.write("station.yaml", "name: [bench]\n")
    result = project.run("-n", "2")

    assert project.shown(result, "ERROR collecting recipes/a.yaml").startswith(
        "station.yaml:1:7: 'name' is a list, should be text"
    )
