"""`pytest-orchestrator init`."""

import json
import os
import re
import subprocess
from importlib import resources
from pathlib import Path

import jsonschema
import pytest
import yaml

from pytest_orchestrator.recipe import load
from tests.cli.conftest import Project

ROOT = Path(__file__).parents[2]
FILES = [
    "pyproject.toml",
    "recipes/hello.yaml",
    "scriptlets/python/steps/hello.py",
    "scriptlets/shell/hello.sh",
    "tests/test_hello.py",
    "recipe.schema.json",
    ".vscode/settings.json",
    ".vscode/extensions.json",
    ".gitignore",
]
MORE = [".github/workflows/recipes.yml", ".gitlab-ci.yml", ".pre-commit-config.yaml"]


@pytest.fixture
def empty(project: Project) -> Project:
    (project.path / "pytest.ini").unlink()
    return project


def files(folder: Path) -> dict[str, str]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in found}


def test_init_in_an_empty_folder_creates_a_valid_project(
    empty: Project,
) -> None:
    done = empty.call("init")
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "created pyproject.toml\n"
        "created recipes/hello.yaml                2 steps: python + shell\n"
        "created scriptlets/python/steps/hello.py\n"
        "created scriptlets/shell/hello.sh\n"
        "created tests/test_hello.py               uses ctx\n"
        "created recipe.schema.json                for editors\n"
        "created .vscode/settings.json\n"
        "created .vscode/extensions.json\n"
        "created .gitignore\n"
        "next:  pytest                     run it\n"
        "       pytest-orchestrator new step count_lines --type shell --param INPUT\n"
    )
    assert sorted(files(empty.path)) == sorted(FILES)
    assert os.access(empty.path / "scriptlets/shell/hello.sh", os.X_OK)
    assert empty.call("validate").out == "1 recipe, no problem\n"
    strict = empty.call("steps", "--strict")
    assert (strict.code, strict.out.splitlines()[-1]) == (0, "2 scriptlets")
    schema = empty.call("schema").out
    assert files(empty.path)["recipe.schema.json"] == schema
    settings = json.loads(files(empty.path)[".vscode/settings.json"])
    assert "recipe.schema.json" in settings["yaml.schemas"]
    assert "$schema=../recipe.schema.json" in files(empty.path)["recipes/hello.yaml"]


def test_second_init_changes_no_file(empty: Project) -> None:
    options = ["--ci", "github", "--ci", "gitlab", "--pre-commit"]
    empty.call("init", *options)
    for name in ("scriptlets/shell/hello.sh", "tests/test_hello.py", "recipes/hello.yaml"):
        (empty.path / name).write_text("mine\n")
    before = files(empty.path)
    done = empty.call("init", *options)
    assert done == (0, "".join(f"unchanged {name}\n" for name in FILES + MORE), "")
    assert files(empty.path) == before


def test_dry_run_prints_the_files_and_writes_nothing(empty: Project) -> None:
    empty.write("tests/test_hello.py", "mine\n")
    done = empty.call("init", "bench", "--dry-run")
    assert [line.split()[:3] for line in done.out.splitlines()] == [
        ["would", "create", name] for name in FILES
    ]
    assert list(files(empty.path)) == ["tests/test_hello.py"]
    empty.call("init", "bench")
    assert sorted(files(empty.path / "bench")) == sorted(FILES)


@pytest.mark.parametrize(
    ("service", "schema"), [("github", "github-workflows"), ("gitlab", "gitlab-ci")]
)
def test_workflows_follow_the_published_schema_of_their_service(
    empty: Project, service: str, schema: str
) -> None:
    empty.call("init", "--ci", service)
    workflow = yaml.safe_load(files(empty.path)[MORE[service == "gitlab"]])
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    rules = json.loads((vendored / f"{schema}.json").read_text(encoding="utf-8"))
    known = jsonschema.Draft7Validator(rules)

    workflow = {str(key).replace("True", "on"): value for key, value in workflow.items()}
    assert [error.message for error in known.iter_errors(workflow)] == []
    workflow["jobs" if service == "github" else "recipes"] = {"artifacts": {"paths": 1}}
    assert not known.is_valid(workflow)


def test_workflows_and_hooks_are_valid_yaml_and_call_existing_commands(empty: Project) -> None:
    empty.call("init", "--ci", "github", "--ci", "gitlab", "--pre-commit", "--strict")
    github, gitlab, hooks = (yaml.safe_load(files(empty.path)[name]) for name in MORE)
    runs = [step["run"] for step in github["jobs"]["recipes"]["steps"] if "run" in step]
    assert runs == [run.partition(" -o ")[0] for run in gitlab["recipes"]["script"]]
    entries = [hook["entry"] for hook in hooks["repos"][0]["hooks"]]
    assert entries == [one for one in runs if one.startswith("pytest-orchestrator")]
    for entry in entries:
        assert empty.call(*entry.split()[1:]).code == 0


def test_conventions_of_scriptlets_are_checked_only_if_asked_for(empty: Project) -> None:
    empty.call("init", "--ci", "github", "--ci", "gitlab", "--pre-commit")

    assert [name for name in MORE if "--strict" in files(empty.path)[name]] == []


def test_workflows_install_the_project(empty: Project) -> None:
    empty.write("pyproject.toml", "[build-system]\nrequires = []\n[project]\nname = 'bench'\n")
    empty.call("init", "--ci", "github", "--ci", "gitlab")

    for name in MORE[:2]:
        line = " -m pip install . 'pytest-orchestrator[validate]' # with the extras and groups of"
        assert line in files(empty.path)[name]


def test_hooks_of_the_repository_equal_those_of_a_project(empty: Project) -> None:
    empty.call("init", "--pre-commit", "--strict")
    local = yaml.safe_load(files(empty.path)[".pre-commit-config.yaml"])["repos"][0]["hooks"]
    offered = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    same = ("name", "entry", "files", "pass_filenames")
    assert [[one[key] for key in same] for one in offered] == [
        [one[key] for key in same] for one in local
    ]
    assert {one["language"] for one in offered} == {"python"}
    found = {path for path in files(empty.path) if re.search(local[0]["files"], path)}
    assert found == {*FILES[1:4]}


def test_init_adds_missing_files_and_prints_needed_edits(empty: Project) -> None:
    empty.write("pyproject.toml", "[project]\nname = 'mine'\n")
    empty.write(".gitignore", "build/\n")
    empty.write(".gitlab-ci.yml", "lint: {script: [ruff]}\n")
    empty.write(".vscode/settings.json", "{}\n")
    empty.write("recipe.schema.json", "{}\n")
    empty.write("recipes/own.yaml", "steps: [{name: a, type: shell, cmd: 'true'}]\n")
    before = files(empty.path)
    done = empty.call("init", "--ci", "gitlab")
    assert (done.code, done.err) == (0, "")
    after = files(empty.path)
    assert after == before | {".vscode/extensions.json": after[".vscode/extensions.json"]}
    assert (
        "left to you: pyproject.toml: add\n"
        "    [tool.pytest.ini_options]\n"
        '    minversion = "8.4"\n'
        '    testpaths = ["tests", "recipes"]\n'
    ) in done.out
    assert "left to you: .gitignore: add\n    .orchestrator/\n" in done.out
    assert "left to you: .vscode/settings.json: add to it\n    {\n" in done.out
    assert "left to you: .gitlab-ci.yml: add to it\n    recipes:\n" in done.out
    assert (
        "left to you: recipe.schema.json: is of another version: "
        "pytest-orchestrator schema > recipe.schema.json\n"
    ) in done.out


@pytest.mark.parametrize(
    ("name", "text", "left"),
    [
        ("pytest.ini", "[pytest]\n", ""),
        ("pytest.ini", "[pytest]\ntestpaths = tests recipes\n", ""),
        ("tox.ini", "[pytest]\ntestpaths = tests\n", "tox.ini: add recipes to testpaths"),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\ntestpaths = ['src']\n",
            "pyproject.toml: add recipes to testpaths",
        ),
    ],
)
def test_init_reads_the_existing_settings_of_pytest(
    name: str, text: str, left: str, empty: Project
) -> None:
    empty.write(name, text)
    out = empty.call("init").out
    assert ("left to you" in out) == bool(left)
    assert left in out
    assert ("created pyproject.toml" in out) is False


def test_mistyped_service_suggests_the_nearest(empty: Project) -> None:
    done = empty.call("init", "--ci", "gihub")
    assert done.code == 2
    assert done.err.endswith("argument --ci: no service 'gihub' (did you mean 'github'?)\n")
    assert files(empty.path) == {}


def test_unusable_folder_is_an_error(empty: Project) -> None:
    empty.write("file")
    assert empty.call("init", "file").err.endswith("error: file is no folder\n")
    assert empty.call("init", "file/in").err.endswith("error: file/in: Not a directory\n")
    empty.write("bench/recipes", "no folder\n")
    done = empty.call("init", "bench")
    assert done.code == 2
    assert "recipes" in done.err.splitlines()[-1]


def test_shell_sample_refuses_text_that_would_break_its_json(empty: Project) -> None:
    empty.call("init")
    load(empty.path / "recipes/hello.yaml", root=empty.path)
    command = ["scriptlets/shell/hello.sh"]
    for message, code in {"Hi, you!": 0, 'say "hi"': 1, "": 1, "a\nb": 1}.items():
        done = subprocess.run(
            command, env=os.environ | {"MESSAGE": message}, capture_output=True, check=False
        )
        assert done.returncode == code
        assert json.loads(done.stdout)["status"] == ("ok" if code == 0 else "error")


def test_pipelines_keep_the_history_and_compare_with_it(empty: Project) -> None:
    empty.call("init", "--ci", "github", "--ci", "gitlab")
    github, gitlab = (yaml.safe_load(files(empty.path)[name]) for name in MORE[:2])
    steps = github["jobs"]["recipes"]["steps"]
    uses = [step.get("uses", step.get("run")).partition("@")[0] for step in steps]
    restore = uses.index("actions/cache/restore")
    kept = [".orchestrator/runs/", ".orchestrator/history/"]

    assert steps[restore + 1]["run"].startswith("pytest ")
    assert "--recipe-compare=LAST:7" in steps[restore + 1]["run"]
    assert "--recipe-compare=LAST:7" in gitlab["recipes"]["script"][-1]
    before, after = steps[restore], steps[restore + 2]
    assert (after["uses"], after["if"]) == ("actions/cache/save@v4", "always()")
    assert before["with"]["key"] == after["with"]["key"]
    assert before["with"]["key"].startswith(before["with"]["restore-keys"])
    assert before["with"]["path"].split() == after["with"]["path"].split() == kept
    assert gitlab["recipes"]["cache"] == {"key": "orchestrator", "when": "always", "paths": kept}
