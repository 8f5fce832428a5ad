"""File matching: the YAML files that are collected as recipes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_orchestrator.plugin.collection import unsupported

if TYPE_CHECKING:
    from tests.plugin.conftest import Project

_RECIPE = "steps: [{name: s, type: shell, cmd: 'true', parse: text}]\n"


def _files(project: Project, *names: str) -> None:
    for name in names:
        project.write(name, _RECIPE)


def test_files_in_recipes_folders_and_files_named_recipe_yaml_are_collected(
    project: Project,
) -> None:
    _files(
        project,
        "recipes/a.yaml",
        "recipes/b.yml",
        "bench/recipes/deep/c.yaml",
        "d.recipe.yaml",
        "bench/e.recipe.yml",
        "recipes/readme.txt",
        "other/f.yaml",
        "recipes.yaml",
    )

    assert project.items() == [
        "bench/e.recipe.yml::s",
        "bench/recipes/deep/c.yaml::s",
        "d.recipe.yaml::s",
        "recipes/a.yaml::s",
        "recipes/b.yml::s",
    ]


def test_a_yaml_file_named_on_the_command_line_is_collected(project: Project) -> None:
    _files(project, "other/f.yaml", "recipes/_part.yaml", "recipes/a.yaml")

    assert project.items("other/f.yaml") == ["other/f.yaml::s"]
    assert project.items("other/f.yaml::s") == ["other/f.yaml::s"]
    assert project.items("recipes/_part.yaml") == ["recipes/_part.yaml::s"]


def test_files_for_use_are_not_collected_as_recipes(project: Project) -> None:
    _files(project, "recipes/_part.yaml", "recipes/deep/_part.yml", "recipes/a.yaml")

    assert project.items() == ["recipes/a.yaml::s"]
    assert project.items("recipes") == ["recipes/a.yaml::s"]


def test_recipe_files_replaces_the_folders_and_the_ending(project: Project) -> None:
    project.ini("recipe_files = bench/*.yaml acceptance/**/*.yml _*.yaml")
    _files(
        project,
        "recipes/a.yaml",
        "d.recipe.yaml",
        "_s.yaml",
        "bench/b.yaml",
        "bench/deep/c.yaml",
        "acceptance/e.yml",
        "acceptance/deep/er/f.yml",
    )

    assert project.items() == [
        "_s.yaml::s",
        "acceptance/deep/er/f.yml::s",
        "acceptance/e.yml::s",
        "bench/b.yaml::s",
    ]
    assert project.items("recipes/a.yaml") == ["recipes/a.yaml::s"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("recipes/api.tavern.yaml", _RECIPE),
        ("docker-compose.yaml", "services: {web: {image: nginx}}"),
        ("ci/workflow.yml", "jobs: {test: {steps: [{run: make}]}}"),
        ("recipes/values.yaml", "jobs: {test: {steps: [{run: make}]}}"),
        ("recipes/broken.yaml", "\t: ["),
        ("recipes/empty.yaml", ""),
    ],
)
def test_yaml_files_that_are_no_recipes_are_ignored(project: Project, name: str, text: str) -> None:
    project.write(name, text)
    _files(project, "recipes/a.yaml")

    result = project.run("--collect-only", "-q")

    assert result.outlines[:2] == ["recipes/a.yaml::s", ""]
    assert result.ret == 0


@pytest.mark.parametrize("text", ["steps: []", "test_meta: {test_id: X}", "{test_meta: {}}"])
def test_errors_in_a_found_file_that_looks_like_a_recipe_are_reported(
    project: Project, text: str
) -> None:
    project.write("recipes/a.yaml", text)

    assert project.run("--collect-only", "-q").ret == pytest.ExitCode.INTERRUPTED


def _refused(project: Project, *args: str) -> str:
    result = project.run("--collect-only", *args)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    return result.outlines[-3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty (a recipe has a list of 'steps')"),
        ("# nothing", "the file is empty (a recipe has a list of 'steps')"),
        ("name: x", "missing 'steps' (a recipe has a list of 'steps')"),
    ],
)
def test_a_file_named_on_the_command_line_must_be_a_recipe(
    project: Project, text: str, message: str
) -> None:
    project.write("recipes/x.yaml", text)
    said = f"ERROR recipes/x.yaml - 1:1 {message}"

    assert _refused(project, "recipes") == said
    assert _refused(project, "recipes/x.yaml") == said
    project.ini("testpaths = recipes")
    assert _refused(project) == said
    project.ini("recipe_files = **/x.yaml")
    assert _refused(project) == said


def test_a_recipe_without_steps_is_a_collection_error(project: Project) -> None:
    project.write("recipes/x.yaml", "steps: []")

    assert _refused(project, "recipes") == "ERROR recipes/x.yaml - 1:8 'steps' has no step in it"


def test_a_file_above_the_size_limit_is_refused_before_it_is_read(project: Project) -> None:
    project.ini("recipe_max_size = 1kB")
    project.write("recipes/x.yaml", _RECIPE + "#" * 1000)

    assert _refused(project, "recipes") == (
        "ERROR recipes/x.yaml - 1:1 the file has 1,058 bytes, above the limit of 1,000 "
        "(the ini key recipe_max_size sets it)"
    )


def test_the_default_size_limit_is_one_mebibyte(project: Project) -> None:
    project.write("recipes/x.yaml", _RECIPE + "#" * 10_000_000)

    assert "above the limit of 1,048,576" in _refused(project, "recipes")
    project.write("recipes/x.yaml", _RECIPE + "#" * ((1 << 20) - len(_RECIPE)))
    assert project.items("recipes") == ["recipes/x.yaml::s"]


@pytest.mark.counted
def test_each_recipe_is_a_collection_error_on_an_unsupported_system(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unsupported, "HERE", False)
    _files(project, "recipes/a.yaml")
    project.write(
        "test_hand.py",
        """
        import pytest

        def test_hand(ctx):
            ctx.set("a.b", 1, who="me")

        @pytest.mark.recipe("recipes/a.yaml")
        def test_recipe(ctx):
            pass
        """,
    )

    result = project.run("--continue-on-collection-errors")

    result.assert_outcomes(passed=1, errors=2)
    assert "the recipe of this test cannot be run: recipes run on Linux and macOS" in str(
        result.stdout
    )
    message = "recipes/a.yaml: recipes run on Linux and macOS, on Windows in WSL; "
    assert f"{message}to leave them out here: --ignore=recipes/a.yaml" in result.outlines

    served = project.run("--recipe-serve")

    served.stderr.fnmatch_lines(
        ["ERROR: --recipe-serve: a Context is served on Linux and macOS, *"]
    )


@pytest.mark.counted
def test_files_that_look_like_recipes_are_named_if_no_test_is_collected(project: Project) -> None:
    _files(project, "bench/psu.yaml", "bench/_part.yaml", "bench/x.yml.txt", "bench/x.tavern.yaml")
    project.write("bench/other.yaml", "name: x\n")

    said = [line for line in project.run("bench").outlines if line.startswith("orchestrator: ")]
    assert said == [
        (
            "orchestrator: bench/psu.yaml looks like a recipe; "
            "move it to a folder 'recipes', or name the file"
        ),
        "orchestrator: bench/x.yml.txt looks like a recipe; rename it to x.yml",
    ]
    assert "looks like" not in project.run("bench", "-o", "recipe_files=bench/*").stdout.str()
    project.write("test_it.py", "def test_it(): pass")
    assert "looks like" not in project.run(".").stdout.str()


@pytest.mark.counted
@pytest.mark.parametrize("table", ["pytest_orchestrator", "pytest-orchestrator", "orchestrator"])
def test_a_table_that_nothing_reads_is_a_warning(project: Project, table: str) -> None:
    _files(project, "recipes/a.yaml")
    (project.path / "pytest.ini").unlink()
    project.write("pyproject.toml", f"[project]\n\n[tool.{table}]\nrecipe_jobs = 2\n")

    text = f"pyproject.toml:3: nothing reads [tool.{table}]; write its keys into "
    assert f"{text}[tool.pytest.ini_options]" in project.run().stdout.str()
    project.write("pyproject.toml", "[tool.pytest.ini_options]\n")
    assert "nothing reads" not in project.run().stdout.str()
