"""The README: each command is run and its output compared; its templates load."""

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
    shutil.copy(ROOT / "station.yaml", folder)
    (folder / "pyproject.toml").write_text("[tool.pytest.ini_options]\n")
    return folder


def test_commands_print_the_output_that_the_readme_shows(project: Path) -> None:
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    assert play(ROOT / "README.md", project, {"PATH": programs, "PYTEST_ADDOPTS": PLUGINS}) >= 4


def test_the_templates_of_the_readme_load(tmp_path: Path) -> None:
    readme = without((ROOT / "README.md").read_text(encoding="utf-8"))
    templates = re.findall(r"```yaml\n(.*?)```\n", readme, re.DOTALL)
    assert templates
    for text in templates:
        path = tmp_path / "template.yaml"
        path.write_text(text, encoding="utf-8")
        load(path, root=tmp_path)


def test_the_readme_names_every_sample() -> None:
    rows = re.findall(r"^\| `(\w+\.yaml)` \|", (ROOT / "README.md").read_text(), re.MULTILINE)

    assert sorted(rows) == sorted(path.name for path in (ROOT / "recipes").glob("[!_]*.yaml"))


def test_the_root_conftest_imports_pytest_only() -> None:
    body = ast.parse((ROOT / "conftest.py").read_text(encoding="utf-8")).body
    modules = [one.module for one in body if isinstance(one, ast.ImportFrom)]
    modules += [each.name for one in body if isinstance(one, ast.Import) for each in one.names]
    top_level = {str(name).partition(".")[0] for name in modules}

    assert top_level - sys.stdlib_module_names - {"pytest"} == set()
