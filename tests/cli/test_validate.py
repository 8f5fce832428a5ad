"""`pytest-orchestrator validate`."""

import json

import pytest

from tests.cli.conftest import Project

GOOD = "steps: [{name: a, type: shell, cmd: 'true', parse: text}]\n"
BAD = "steps:\n  - name: a\n    type: shell\n    cmdd: ls\n"


def test_good_recipes_are_counted(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    assert project.call("validate") == (0, "1 recipe, no problem\n", "")
    project.write("more/b.recipe.yaml", GOOD)
    assert project.call("validate").out == "2 recipes, no problem\n"


def test_problems_are_told_with_their_lines(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/b.yaml", BAD)
    told = project.call("validate")
    assert (told.code, told.err) == (1, "")
    assert told.out == (
        "recipes/b.yaml:4:5: unknown key 'cmdd' in shell step 'a' (did you mean 'cmd'?)\n"
        "\n"
        "   2 |   - name: a\n"
        "   3 |     type: shell\n"
        "   4 |     cmdd: ls\n"
        "     |     ^^^^\n"
        "\n"
        "2 recipes, 1 problem\n"
    )


def test_the_same_as_json(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/b.yaml", BAD)
    told = project.call("validate", "--json")
    assert (told.code, told.err) == (1, "")
    message = "unknown key 'cmdd' in shell step 'a' (did you mean 'cmd'?)"
    assert json.loads(told.out) == {
        "rootdir": str(project.path),
        "recipes": [
            {"path": "recipes/a.yaml", "problems": []},
            {
                "path": "recipes/b.yaml",
                "problems": [
                    {
                        "severity": "error",
                        "line": 4,
                        "column": 5,
                        "length": 4,
                        "message": message,
                    }
                ],
            },
        ],
    }


def test_what_pytest_would_pass_by_is_passed_by(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("recipes/_part.yaml", BAD)
    project.write("recipes/values.yaml", "volts: 12\n")
    project.write("venv/recipes/b.yaml", BAD)
    project.write("docker-compose.yaml", "services: {}\n")
    assert project.call("validate").out == "1 recipe, no problem\n"


def test_a_file_that_is_asked_for_must_be_a_recipe(project: Project) -> None:
    project.write("recipes/values.yaml", "volts: 12\n")
    for path in ("recipes", "recipes/values.yaml"):
        assert "missing 'steps'" in project.call("validate", path).out
    project.write("pytest.ini", "[pytest]\ntestpaths = recipes\n")
    assert "missing 'steps'" in project.call("validate").out


def test_any_folder_of_the_project_will_do(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.write("recipes/b.yaml", BAD)
    project.write("deep/er/x.txt")
    monkeypatch.chdir(project.path / "deep" / "er")
    assert project.call("validate").out.startswith("recipes/b.yaml:4:5: ")
    assert project.call("validate", "../../recipes").out.startswith("recipes/b.yaml:4:5: ")


def test_settings_of_the_project_hold(project: Project) -> None:
    project.write("pytest.ini", "[pytest]\nrecipe_files = bench/*.yml\nrecipe_max_size = 20\n")
    project.write("recipes/a.yaml", BAD)
    project.write("bench/c.yml", GOOD)
    told = project.call("validate")
    assert told.out.startswith("bench/c.yml:1:1: the file has 58 bytes, above the limit of 20")
    assert told.out.endswith("1 recipe, 1 problem\n")


def test_a_path_that_is_not_there_gets_the_nearest_one(project: Project) -> None:
    project.write("recipes/flash.yaml", GOOD)
    told = project.call("validate", "recipes/flahs.yaml")
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith(
        "error: argument PATH: there is no recipes/flahs.yaml "
        "(did you mean 'recipes/flash.yaml'?)\n"
    )
    assert project.call("validate", "nowhere/x.yaml").err.endswith(": nowhere is no folder\n")


def test_no_recipe_at_all_is_a_mistake(project: Project) -> None:
    told = project.call("validate")
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith(f"error: there is no recipe in {project.path}\n")


def test_a_setting_that_is_none_is_a_mistake(project: Project) -> None:
    project.write("recipes/a.yaml", GOOD)
    project.write("pytest.ini", "[pytest]\nrecipe_max_size = large\n")
    told = project.call("validate")
    assert (told.code, told.out) == (2, "")
    assert told.err.endswith("error: ini key recipe_max_size: 'large' is no size or time\n")
