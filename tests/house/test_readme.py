"""The README and the page of samples: each command is run and its output compared."""

import ast
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.house.transcript import play

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
    environ = {"PATH": programs, "PYTEST_ADDOPTS": PLUGINS}

    assert play(ROOT / "README.md", project, environ) == 1


def test_the_list_of_samples_names_every_sample() -> None:
    page = (ROOT / "docs" / "how-to" / "templates.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.yaml)` \|", page, re.MULTILINE)

    assert sorted(rows) == sorted(path.name for path in (ROOT / "recipes").glob("[!_]*.yaml"))


def test_the_root_conftest_imports_pytest_only() -> None:
    body = ast.parse((ROOT / "conftest.py").read_text(encoding="utf-8")).body
    modules = [one.module for one in body if isinstance(one, ast.ImportFrom)]
    modules += [each.name for one in body if isinstance(one, ast.Import) for each in one.names]
    top_level = {str(name).partition(".")[0] for name in modules}

    assert top_level - sys.stdlib_module_names - {"pytest"} == set()
