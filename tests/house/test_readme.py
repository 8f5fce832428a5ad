"""The README's first five minutes: each command is run and its output compared."""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from pytest_orchestrator.recipe import load
from tests.house.transcript import play, without

ROOT = Path(__file__).parents[2]
PLUGINS = "-p no:randomly -p no:hypothesispytest -p no:cacheprovider"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("readme")
    for name in ("recipes", "scriptlets"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return folder


def test_the_first_five_minutes_are_as_the_readme_shows_them(project: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    assert play(ROOT / "README.md", project, {"PATH": programs, "PYTEST_ADDOPTS": PLUGINS}) >= 4


def test_the_templates_of_the_readme_are_good(tmp_path: Path) -> None:
    written = without((ROOT / "README.md").read_text(encoding="utf-8"))
    templates = re.findall(r"```yaml\n(.*?)```\n", written, re.DOTALL)
    assert templates
    for text in templates:
        path = tmp_path / "template.yaml"
        path.write_text(text, encoding="utf-8")
        load(path, root=tmp_path)


def test_the_readme_names_every_sample() -> None:
    rows = re.findall(r"^\| `(\w+\.yaml)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(path.name for path in (ROOT / "recipes").glob("[!_]*.yaml"))


def test_the_samples_run_without_what_the_tests_of_this_project_need() -> None:
    body = ast.parse((ROOT / "conftest.py").read_text(encoding="utf-8")).body
    told = [one.module for one in body if isinstance(one, ast.ImportFrom)]
    told += [each.name for one in body if isinstance(one, ast.Import) for each in one.names]
    asked = {str(name).partition(".")[0] for name in told}

    assert asked - sys.stdlib_module_names == {"pytest"}
